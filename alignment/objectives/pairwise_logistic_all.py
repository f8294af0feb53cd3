"""DPO on every two responses of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.listed import RANKED, Listed, ordered
from alignment.objectives.objective import Fidelity, Needs, Paper, Relative, State

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class PairwiseLogistic(Listed):
    """DPO's loss of every two responses of which one is ranked above the other, added up.

    Liu et al. 2024 (LiPO), arXiv 2402.01878. Where policy equals reference it is log 2 for each such pair.
    Ties contribute nothing.
    """

    name: ClassVar[str] = "pairwise_logistic_all"
    title: ClassVar[str] = "All-pairs DPO"
    formula: ClassVar[str] = (
        r"-\sum_{\psi_i>\psi_j}\log\sigma(s_i-s_j),\quad s_i=\beta\log\frac{\pi(y_i)}{\pi_{\mathrm{ref}}(y_i)}"
    )
    paper: ClassVar[Paper] = Paper(
        "LiPO: Listwise Preference Optimization through Learning-to-Rank", "Liu et al.", 2024, "2402.01878", ""
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = RANKED
    fixes: ClassVar[str] = "Uses every comparison that a ranking holds, and computes each response once."
    costs: ClassVar[str] = "Long lists weigh more than short ones, as they hold more pairs, unless the mean is taken."
    relatives: ClassVar[tuple[Relative, ...]] = (Relative("dpo", "A list of two responses gives DPO."),)

    mean: bool = Field(
        False, title="Mean", description="Divide by the number of pairs, so that lists of all lengths weigh the same."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-sum, or mean, of log sigmoid(s_i - s_j) over i ranked above j, (examples,)."""
        lists = batch.lists()
        total, pairs = ordered(lists, self.beta * lists.ratios)
        return total / pairs.clamp(min=1) if self.mean else total
