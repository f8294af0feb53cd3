"""Noise contrastive alignment, the absolute form."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.listed import SCORED, Listed
from alignment.objectives.objective import Fidelity, Needs, Paper, Relative, State, log_sigmoid

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class NCA(Listed):
    """Raises each response by its share of the scores and lowers all alike, so that likelihoods have a fixed target.

    Chen et al. 2024, arXiv 2402.05369. Where policy equals reference it is 2 log 2.
    """

    name: ClassVar[str] = "nca_list"
    title: ClassVar[str] = "NCA (lists)"
    formula: ClassVar[str] = (
        r"-\sum_i\Big[\frac{e^{r_i/\alpha}}{\sum_j e^{r_j/\alpha}}\log\sigma(s_i)+\frac1K\log\sigma(-s_i)\Big],\quad "
        r"s_i=\beta\log\frac{\pi(y_i)}{\pi_{\mathrm{ref}}(y_i)}"
    )
    paper: ClassVar[Paper] = Paper(
        "Noise Contrastive Alignment of Language Models with Explicit Rewards", "Chen et al.", 2024, "2402.05369", ""
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = SCORED
    fixes: ClassVar[str] = "The best response does not become less likely, as it may when only differences count."
    costs: ClassVar[str] = "Differences between responses grow less than they do under InfoNCA."
    relatives: ClassVar[tuple[Relative, ...]] = (Relative("infonca", "InfoNCA compares likelihoods with each other."),)

    beta: float = Field(
        0.01, ge=1e-6, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    alpha: float = Field(
        0.01,
        ge=1e-6,
        le=1000,
        title="Alpha",
        description="Temperature of the scores; near 0 the best response takes all the weight.",
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-sum of softmax(r / alpha) log sigmoid(s) - mean of log sigmoid(-s), (examples,)."""
        lists = batch.lists()
        scores = self.beta * lists.ratios
        targets = lists.shares(lists.facts["score"] / self.alpha)
        lowered = log_sigmoid(-scores).masked_fill(~lists.mask, 0.0).sum(dim=1) / lists.mask.sum(dim=1)
        return -(targets * log_sigmoid(scores)).sum(dim=1) - lowered
