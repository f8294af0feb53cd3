"""Soft labels for any loss of pairs."""

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


class SoftLabeled(Modifier):
    """Weighs both orders of a pair by how probable each is: q of the base's loss, 1-q of that with the sides swapped.

    q is each pair's soft label.  With DPO as the base it is the soft form of ADPO (arXiv 2510.18913), reconstructed;
    where policy and reference agree, it is what a base is there that does not tell the sides apart.
    """

    name: ClassVar[str] = "soft_labeled"
    title: ClassVar[str] = "Soft labels"
    family: ClassVar[str] = "Made of parts"
    formula: ClassVar[str] = r"q\,\mathcal{L}(y_w,y_l)+(1-q)\,\mathcal{L}(y_l,y_w)"
    paper: ClassVar[Paper] = Paper("ADPO: Anchored Direct Preference Optimization", "Wang", 2025, "2510.18913", "")
    fidelity: ClassVar[Fidelity] = "reconstruction"
    needs: ClassVar[Needs] = joined(PAIRED._replace(facts=frozenset({"soft_label"})))
    fixes: ClassVar[str] = "Pairs on which people are divided are not pushed apart for ever."
    costs: ClassVar[str] = "Soft labels have to come from several votes or a calibrated judge."
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("adpo_pair_soft", "With DPO as its base it is ADPO's form for a pair."),
        Relative("smoothed", "With the same soft label 1 - epsilon for every pair it is label smoothing."),
    )

    base: PairBase = Field(DPO(), title="Base", description="The objective whose labels are only probable.")

    def loss(self, batch: Batch, state: State) -> Tensor:
        """q * loss + (1-q) * loss of the swapped pairs, (examples,)."""
        q = batch.pairs().chosen.facts["soft_label"]
        return q * super().loss(batch, state) + (1 - q) * super().loss(swapped(batch), state)
