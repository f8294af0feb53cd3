"""Alignment via optimal transport of chosen against rejected responses, whoever they were paired with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.objective import (
    PAIRED_WITH_REFERENCE,
    Fidelity,
    Needs,
    Objective,
    Paper,
    Range,
    Relative,
    State,
    log_sigmoid,
)

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class AOTUnpaired(Objective):
    """Wants the log-ratios of chosen responses, sorted over the optimizer batch, above those of rejected ones.

    Melnyk et al. 2024, arXiv 2406.05882, the unpaired loss, with the logistic loss and label smoothing eps: first-order
    dominance of one distribution of rewards over the other; who was paired with whom does not matter.  It depends on
    the size of the optimizer batch.  Where policy and reference agree, the loss is log 2.
    """

    name: ClassVar[str] = "aot_unpaired"
    title: ClassVar[str] = "AOT, unpaired"
    family: ClassVar[str] = "Pairs with a reference"
    formula: ClassVar[str] = (
        r"-\frac{1}{B}\sum_i\log\sigma\!\left(\beta\,(w_{(i)}-l_{(i)})\right),\quad "
        r"w=\log\frac{\pi(y_w)}{\pi_{\mathrm{ref}}(y_w)},\ l=\log\frac{\pi(y_l)}{\pi_{\mathrm{ref}}(y_l)}"
    )
    paper: ClassVar[Paper] = Paper(
        "Distributional Preference Alignment of LLMs via Optimal Transport",
        "Melnyk et al.",
        2024,
        "2406.05882",
        "",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE._replace(coupled=True)
    fixes: ClassVar[str] = (
        "Asks that chosen responses as a whole be better than rejected ones, however they were paired."
    )
    costs: ClassVar[str] = "Small batches say little about a distribution; each batch is scored twice."
    ranges: ClassVar[Mapping[str, Range]] = {"beta": Range(0.01, 0.1)}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "With one pair to a batch and epsilon 0 it is DPO."),
        Relative("aot_paired", "Which sorts margins, so that who was paired with whom matters."),
    )

    beta: float = Field(
        0.01, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    eps: float = Field(
        0.0, ge=0, lt=0.5, title="Epsilon", description="Label smoothing: probability that a label is wrong."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """The mean of the smoothed logistic loss of beta * (sorted chosen - sorted rejected), one number."""
        pairs = batch.pairs()
        z = self.beta * (pairs.chosen.ratios.sort().values - pairs.rejected.ratios.sort().values)
        return (-(1 - self.eps) * log_sigmoid(z) - self.eps * log_sigmoid(-z)).mean()

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios
