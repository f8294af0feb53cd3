"""DPO with the log-likelihood per token of the chosen response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

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
from alignment.objectives.pairs import MARGIN, WithReference, likely, negative_log_likelihood, strength

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class RPO(WithReference):
    """DPO with the chosen response's log-likelihood per token beside it, weighted by eta: DPO and fine-tuning at once.

    Liu et al. 2024, arXiv 2405.16436, in the form that the authors call the better default. At policy == reference the
    loss is log 2 - eta log policy(y_w) per token. Released code has the mean over all tokens of a batch: `nll: batch`.
    """

    name: ClassVar[str] = "rpo_average"
    title: ClassVar[str] = "RPO"
    formula: ClassVar[str] = r"-\log\sigma(\beta h)-\frac{\eta}{|y_w|}\log\pi(y_w),\quad " + MARGIN
    paper: ClassVar[Paper] = Paper(
        "Provably Mitigating Overoptimization in RLHF: Your SFT Loss is Implicitly an Adversarial Regularizer",
        "Liu et al.",
        2024,
        "2405.16436",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = likely(PAIRED_WITH_REFERENCE)
    fixes: ClassVar[str] = (
        "Chosen answers whose probability falls with the rejected ones, and rewards pursued where data are few: the "
        "likelihood of the chosen answer is held up."
    )
    costs: ClassVar[str] = (
        "Pulls towards the style of the chosen answers as supervised fine-tuning does; one more weight."
    )
    ranges: ClassVar[Mapping[str, Range]] = {
        "beta": Range(0.5, 0.5, "as released"),
        "eta": Range(0.2, 0.2, "as released"),
    }
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "Equals DPO at eta = 0.", at={"eta": 0.0}),
        Relative("rpo_cumulative", "The same on the sum over tokens, weighted by beta too."),
        Relative("cpo", "CPO is the same without a reference."),
    )

    beta: float = strength(0.5)
    eta: float = Field(0.2, ge=0, le=100, title="Eta", description="Weight of the chosen response's likelihood.")
    nll: Literal["mean", "batch"] = Field(
        "mean",
        title="Likelihood",
        description="Mean over the tokens of each chosen response, or of all in the batch, which is scored twice then.",
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta h) - eta log policy(chosen) per token, (examples,); its mean if `nll` is of the batch."""
        pairs = batch.pairs()
        losses = -log_sigmoid(self.beta * pairs.margin) + self.eta * negative_log_likelihood(pairs.chosen, self.nll)
        return losses.mean() if self.nll == "batch" else losses
