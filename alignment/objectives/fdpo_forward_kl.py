"""DPO under the forward KL."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from alignment.objectives.bounded import exponential_less_one
from alignment.objectives.divergence import DivergenceDPO
from alignment.objectives.objective import Relative
from alignment.objectives.pairs import RATIO

if TYPE_CHECKING:
    from torch import Tensor


class ForwardKL(DivergenceDPO):
    """f-DPO under the forward KL: whatever falls below the reference is punished ever more steeply.

    Wang et al. 2023, arXiv 2309.16240. At policy == reference the loss is log 2 and every reward 0. e^{-d} is
    clamped at d = -20 and goes on as a line from there.
    """

    name: ClassVar[str] = "fdpo_forward_kl"
    title: ClassVar[str] = "f-DPO (forward KL)"
    formula: ClassVar[str] = (
        r"-\log\sigma\!\left(\beta\left[g(y_w)-g(y_l)\right]\right),\quad g(y)=-e^{-d(y)},\quad " + RATIO
    )
    fixes: ClassVar[str] = "Loss of variety: probability may leave the reference's answers only at a steep price."
    costs: ClassVar[str] = (
        "Rewards below the reference have the size of e to the log-ratio, which for whole responses is huge: runs "
        "are hard to hold, and falling rejected answers drown everything else."
    )
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("fdpo_alpha", "The alpha-divergence lies between this and DPO."),
        Relative("dpo", "DPO is the reverse KL."),
    )

    def of_ratio(self, ratio: Tensor) -> Tensor:
        """1 - e^{-d}, clamped at d = -20."""
        return -exponential_less_one(-ratio)
