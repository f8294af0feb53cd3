"""Noise contrastive alignment, the relative form."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.listed import SCORED, Listed
from alignment.objectives.objective import Fidelity, Needs, Paper, Relative, State

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class InfoNCA(Listed):
    """Cross-entropy between what the scores of a list say and what the policy's rewards say, both as a softmax.

    Chen et al. 2024, arXiv 2402.05369. Where policy equals reference it is log K.
    """

    name: ClassVar[str] = "infonca"
    title: ClassVar[str] = "InfoNCA"
    formula: ClassVar[str] = (
        r"-\sum_i \frac{e^{r_i/\alpha}}{\sum_j e^{r_j/\alpha}}\log\frac{e^{s_i}}{\sum_j e^{s_j}},\quad "
        r"s_i=\beta\log\frac{\pi(y_i)}{\pi_{\mathrm{ref}}(y_i)}"
    )
    paper: ClassVar[Paper] = Paper(
        "Noise Contrastive Alignment of Language Models with Explicit Rewards",
        "Chen et al.",
        2024,
        "2402.05369",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = SCORED
    fixes: ClassVar[str] = "Uses scores of any number of responses, and not only which of two is better."
    costs: ClassVar[str] = "Only relative likelihoods count: even the best response may become less likely."
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "Two responses with a temperature near 0 give DPO."),
        Relative("nca_list", "NCA fixes each likelihood by itself."),
    )

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
        """-sum of softmax(r / alpha) times log softmax(s), (examples,)."""
        lists = batch.lists()
        targets = lists.shares(lists.facts["score"] / self.alpha)
        return -(targets * lists.log_shares(self.beta * lists.ratios)).sum(dim=1)
