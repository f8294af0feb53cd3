"""Token-level direct preference optimization, second form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.batch import REFERENCE, OtherValue, beside
from alignment.objectives.objective import (
    PAIR,
    Fidelity,
    Needs,
    Objective,
    Paper,
    Range,
    Relative,
    State,
    log_sigmoid,
)
from alignment.objectives.pairs import MARGIN

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class TDPO2(Objective):
    """TDPO whose divergence counts as much as alpha says, and moves the rejected response alone.

    Zeng et al. 2024, arXiv 2404.11999, the loss L_TDPO2. K(y) adds the forward divergence KL(reference || policy) up
    over the response's positions; the chosen side's is a constant for the gradient. At policy == reference the loss is
    log 2 and the reward 0.
    """

    name: ClassVar[str] = "tdpo2"
    title: ClassVar[str] = "TDPO2"
    family: ClassVar[str] = "Token by token"
    formula: ClassVar[str] = (
        r"-\log\sigma\!\left(\beta\left[h-\alpha\left(K(y_l)-\mathrm{sg}\left[K(y_w)\right]\right)\right]\right),\quad "
        r"K(y)=\sum_t\mathrm{KL}\!\left(\pi_{\mathrm{ref}}(\cdot\mid y_{<t})\,\|\,\pi(\cdot\mid y_{<t})\right),\quad "
        + MARGIN
    )
    paper: ClassVar[Paper] = Paper(
        "Token-level Direct Preference Optimization",
        "Zeng et al.",
        2024,
        "2404.11999",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = Needs(PAIR, reference="distribution")
    fixes: ClassVar[str] = (
        "DPO lets the distributions of rejected responses drift far; here their divergence token by token is held to "
        "that of the chosen ones."
    )
    costs: ClassVar[str] = (
        "The reference is asked at every step, which takes another forward pass and, in full training, its memory."
    )
    ranges: ClassVar[Mapping[str, Range]] = {"alpha": Range(0.1, 1.0, "0.5 as a rule")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "Equals DPO at alpha = 0.", at={"alpha": 0.0}),
        Relative(
            "tdpo1", "TDPO2 has TDPO1's value where alpha is 1; its gradient spares the chosen side's divergence."
        ),
    )

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    alpha: float = Field(
        0.5, ge=0, le=10, title="Alpha", description="Weight of the difference between both sides' divergences."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta (h - alpha (K_l - sg K_w))), (examples,)."""
        chosen, rejected = batch.sides(self._drift(batch))
        return -log_sigmoid(self.beta * (batch.pairs().margin - self.alpha * (rejected - chosen.detach())))

    def rewards(self, batch: Batch) -> Tensor:
        """beta * (log(policy / reference) + alpha K), (S,)."""
        return self.beta * (batch.singles().ratios + self.alpha * self._drift(batch))

    def _drift(self, batch: Batch) -> Tensor:
        return batch.each_token().sums(beside(REFERENCE, OtherValue.KL), len(batch.logps))
