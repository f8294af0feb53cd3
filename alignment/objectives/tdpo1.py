"""Token-level direct preference optimization, first form."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.batch import REFERENCE, OtherValue, beside
from alignment.objectives.objective import PAIR, Fidelity, Needs, Objective, Paper, Relative, State, log_sigmoid
from alignment.objectives.pairs import MARGIN

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class TDPO1(Objective):
    """DPO whose margin also counts how far the policy has moved from the reference at each token of both responses.

    Zeng et al. 2024, arXiv 2404.11999, the loss L_TDPO1. K(y) adds the forward divergence KL(reference || policy) up
    over the response's positions, and the gradient flows through it. At policy == reference the loss is log 2 and the
    reward 0.
    """

    name: ClassVar[str] = "tdpo1"
    title: ClassVar[str] = "TDPO1"
    family: ClassVar[str] = "Token by token"
    formula: ClassVar[str] = (
        r"-\log\sigma\!\left(\beta\left[h-\left(K(y_l)-K(y_w)\right)\right]\right),\quad "
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
    fixes: ClassVar[str] = "DPO bounds how far whole responses drift; here every token's distribution is held, too."
    costs: ClassVar[str] = (
        "The reference is asked at every step, which takes another forward pass and, in full training, its memory; "
        "the chosen side may be pushed away from the reference to win the margin. TDPO2 mends that."
    )
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("tdpo2", "TDPO2 has this value where its alpha is 1, and no gradient through the chosen side's K."),
        Relative("dpo", "TDPO1 is DPO with the divergences of both sides in the margin."),
    )

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta (h - K_l + K_w)), (examples,)."""
        chosen, rejected = batch.sides(self._values(batch))
        return -log_sigmoid(self.beta * (chosen - rejected))

    def rewards(self, batch: Batch) -> Tensor:
        """beta * (log(policy / reference) + K), (S,)."""
        return self.beta * self._values(batch)

    def _values(self, batch: Batch) -> Tensor:
        drift = batch.each_token().sums(beside(REFERENCE, OtherValue.KL), len(batch.logps))
        return batch.singles().ratios + drift
