"""Contrastive preference optimization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.objective import (
    PAIRED,
    Fidelity,
    Needs,
    Objective,
    Paper,
    Range,
    Relative,
    State,
    log_sigmoid,
)
from alignment.objectives.pairs import WITHOUT_REFERENCE, Likelihood, likely, negative_log_likelihood

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class CPO(Objective):
    """DPO with a constant reference, held in place by the likelihood of the chosen response.

    Xu et al. 2024, arXiv 2401.08417. Without a reference; where both responses are equally likely the loss is log 2 and
    alpha times the chosen one's negative log-likelihood: its sum in the paper, the mean over all tokens of a batch in
    the released code (`nll: batch`), or its mean per token.
    """

    name: ClassVar[str] = "cpo"
    title: ClassVar[str] = "CPO"
    family: ClassVar[str] = WITHOUT_REFERENCE
    formula: ClassVar[str] = (
        r"-\log\sigma\!\left(\beta\left[\log\pi(y_w)-\log\pi(y_l)\right]\right)+\alpha\,\mathrm{NLL}(y_w)"
    )
    paper: ClassVar[Paper] = Paper(
        "Contrastive Preference Optimization: Pushing the Boundaries of LLM Performance in Machine Translation",
        "Xu et al.",
        2024,
        "2401.08417",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = likely(PAIRED)
    fixes: ClassVar[str] = "The memory and time of a reference model; made for translations that are nearly perfect."
    costs: ClassVar[str] = (
        "Sums of log-probabilities favor short answers; only the likelihood holds the model in place."
    )
    ranges: ClassVar[Mapping[str, Range]] = {"beta": Range(0.1, 0.1, "in the paper"), "alpha": Range(1.0, 1.0)}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "At alpha = 0, DPO with a constant reference."),
        Relative("rpo_average", "RPO is the same with a reference."),
        Relative("cpo_simpo", "The same on averages per token, with a margin."),
    )
    logic: ClassVar[str] = r"M(y_l)\;\Rightarrow\;M(y_w)"

    beta: float = Field(0.1, gt=0, le=100, title="Beta", description="Scale of the reward, on sums over tokens.")
    alpha: float = Field(1.0, ge=0, le=100, title="Alpha", description="Weight of the chosen response's likelihood.")
    nll: Likelihood = Field(
        "mean",
        title="Likelihood",
        description="Sum over the chosen response, its mean per token, or the mean over all tokens of the batch, "
        "which is scored twice then.",
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta (log policy(chosen) - log policy(rejected))) + alpha nll, (examples,); its mean where `nll`
        is of the batch."""
        pairs = batch.pairs()
        losses = -log_sigmoid(self.beta * (pairs.chosen.logps - pairs.rejected.logps))
        losses = losses + self.alpha * negative_log_likelihood(pairs.chosen, self.nll)
        return losses.mean() if self.nll == "batch" else losses

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log policy, (S,)."""
        return self.beta * batch.singles().logps
