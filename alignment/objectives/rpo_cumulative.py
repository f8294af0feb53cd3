"""DPO with the summed log-likelihood of the chosen response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.objective import Fidelity, Paper, Range, Relative, State, log_sigmoid
from alignment.objectives.pairs import MARGIN, WithReference, strength

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class CumulativeRPO(WithReference):
    """DPO with the chosen response's summed log-likelihood beside it, weighted by eta beta.

    Liu et al. 2024, arXiv 2405.16436, as the paper and its first release have it. At policy == reference the loss is
    log 2 - eta beta log policy(y_w).
    """

    name: ClassVar[str] = "rpo_cumulative"
    title: ClassVar[str] = "RPO (sums)"
    formula: ClassVar[str] = r"-\log\sigma(\beta h)-\eta\beta\log\pi(y_w),\quad " + MARGIN
    paper: ClassVar[Paper] = Paper(
        "Provably Mitigating Overoptimization in RLHF: Your SFT Loss is Implicitly an Adversarial Regularizer",
        "Liu et al.",
        2024,
        "2405.16436",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    fixes: ClassVar[str] = (
        "Chosen answers whose probability falls with the rejected ones, and rewards pursued where data are few: the "
        "likelihood of the chosen answer is held up."
    )
    costs: ClassVar[str] = (
        "Pulls towards the style of the chosen answers as supervised fine-tuning does; one more weight."
    )
    ranges: ClassVar[Mapping[str, Range]] = {
        "beta": Range(0.01, 0.01, "as released"),
        "eta": Range(0.005, 0.005, "as released"),
    }
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "Equals DPO at eta = 0.", at={"eta": 0.0}),
        Relative("rpo_average", "The same per token, which the authors call the better default."),
    )

    beta: float = strength(0.01)
    eta: float = Field(0.005, ge=0, le=100, title="Eta", description="Weight of the chosen response's likelihood.")

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta h) - eta beta log policy(chosen), (examples,)."""
        pairs = batch.pairs()
        return -log_sigmoid(self.beta * pairs.margin) - self.eta * self.beta * pairs.chosen.logps
