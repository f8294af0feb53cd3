"""Label smoothing of any loss of pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.composite import joined
from alignment.objectives.dpo import DPO
from alignment.objectives.modifier import Modifier, PairBase, swapped
from alignment.objectives.objective import PAIRED, Fidelity, Needs, Paper, Relative, State

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class Smoothed(Modifier):
    """Takes every label for wrong with probability eps: (1-eps) of the base's loss, eps of that with the sides swapped.

    Mitchell 2023, "A note on DPO with noisy preferences", equation 3, for any base that compares two responses.  Where
    policy and reference agree, it is what a base is there that does not tell the sides apart.
    """

    name: ClassVar[str] = "smoothed"
    title: ClassVar[str] = "Label smoothing"
    family: ClassVar[str] = "Made of parts"
    formula: ClassVar[str] = r"(1-\epsilon)\,\mathcal{L}(y_w,y_l)+\epsilon\,\mathcal{L}(y_l,y_w)"
    paper: ClassVar[Paper] = Paper(
        "A note on DPO with noisy preferences and relationship to IPO",
        "Mitchell",
        2023,
        "",
        "3",
        url="https://ericmitchell.ai/cdpo.pdf",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = joined(PAIRED)
    fixes: ClassVar[str] = "Labels that are wrong at a known rate, for bases that push margins without end."
    costs: ClassVar[str] = "Where all labels are right, margins stay smaller than they could be."
    relatives: ClassVar[tuple[Relative, ...]] = (Relative("cdpo", "With DPO as its base it is cDPO.", {"eps": 0.1}),)

    eps: float = Field(
        0.1, ge=0, lt=0.5, title="Epsilon", description="Probability that a label is wrong; 0 gives the base."
    )
    base: PairBase = Field(DPO(), title="Base", description="The objective whose labels may be wrong.")

    def loss(self, batch: Batch, state: State) -> Tensor:
        """(1-eps) * loss + eps * loss of the swapped pairs, (examples,)."""
        return (1 - self.eps) * super().loss(batch, state) + self.eps * super().loss(swapped(batch), state)
