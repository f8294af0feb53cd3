"""Alignment via optimal transport on pairs: margins are compared as distributions, not one by one."""

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


class AOTPaired(Objective):
    """Wants the policy's margins, sorted over the optimizer batch, above the reference's margins, sorted likewise.

    Melnyk et al. 2024, arXiv 2406.05882, the paired loss, with the logistic loss and label smoothing eps: first-order
    dominance of one distribution of margins over the other.  It depends on the size of the optimizer batch.  Where
    policy and reference agree, the loss is log 2.
    """

    name: ClassVar[str] = "aot_paired"
    title: ClassVar[str] = "AOT, paired"
    family: ClassVar[str] = "Pairs with a reference"
    formula: ClassVar[str] = (
        r"-\frac{1}{B}\sum_i\log\sigma\!\left(\beta\,(m_{(i)}-m^{\mathrm{ref}}_{(i)})\right),\quad "
        r"m=\log\pi(y_w)-\log\pi(y_l)"
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
    fixes: ClassVar[str] = "Asks that margins be better as a whole, so no single pair must be."
    costs: ClassVar[str] = "Small batches say little about a distribution; each batch is scored twice."
    ranges: ClassVar[Mapping[str, Range]] = {"beta": Range(0.01, 0.1)}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "With one pair to a batch and epsilon 0 it is DPO."),
        Relative("aot_unpaired", "Which sorts each side by itself."),
    )

    beta: float = Field(
        0.01, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    eps: float = Field(
        0.0, ge=0, lt=0.5, title="Epsilon", description="Label smoothing: probability that a label is wrong."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """The mean of the smoothed logistic loss of beta * (sorted policy - sorted reference), one number."""
        pairs = batch.pairs()
        now = pairs.chosen.logps - pairs.rejected.logps
        before = pairs.chosen.before - pairs.rejected.before
        z = self.beta * (now.sort().values - before.sort().values)
        return (-(1 - self.eps) * log_sigmoid(z) - self.eps * log_sigmoid(-z)).mean()

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios
