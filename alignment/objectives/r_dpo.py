"""DPO with a price on length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.objective import (
    PAIRED_WITH_REFERENCE,
    Fidelity,
    Needs,
    Paper,
    Range,
    Relative,
    State,
    log_sigmoid,
)
from alignment.objectives.pairs import MARGIN, WithReference, strength

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class LengthRegularizedDPO(WithReference):
    """DPO that trusts a pair less the longer its chosen response is than its rejected one.

    Park et al. 2024, arXiv 2403.19159, in the sign convention where alpha >= 0 discourages length. At policy ==
    reference the loss is -log sigmoid(alpha (|y_w| - |y_l|)): log 2 where both are as long.
    """

    name: ClassVar[str] = "r_dpo"
    title: ClassVar[str] = "R-DPO"
    formula: ClassVar[str] = r"-\log\sigma\!\left(\beta h+\alpha\left(|y_w|-|y_l|\right)\right),\quad " + MARGIN
    paper: ClassVar[Paper] = Paper(
        "Disentangling Length from Quality in Direct Preference Optimization",
        "Park et al.",
        2024,
        "2403.19159",
        "",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE._replace(lengths=True)
    fixes: ClassVar[str] = "Data in which the better answer is the longer one as a rule: such pairs push less."
    costs: ClassVar[str] = (
        "One more value to search; a long answer that is better for its content is held back with the others."
    )
    ranges: ClassVar[Mapping[str, Range]] = {"alpha": Range(0.01, 0.1, "of beta's size or less")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "Equals DPO at alpha = 0.", at={"alpha": 0.0}),
        Relative("ln_dpo", "LN-DPO divides by the lengths instead."),
    )

    beta: float = strength(0.1)
    alpha: float = Field(
        0.01, ge=0, le=10, title="Alpha", description="What each token counts that the chosen response is longer by."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta h + alpha (|y_w| - |y_l|)), (examples,)."""
        pairs = batch.pairs()
        longer = pairs.chosen.lengths - pairs.rejected.lengths
        return -log_sigmoid(self.beta * pairs.margin + self.alpha * longer)
