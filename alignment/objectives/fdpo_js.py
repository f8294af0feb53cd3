"""DPO under the Jensen-Shannon divergence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from alignment.objectives.divergence import DivergenceDPO
from alignment.objectives.objective import Relative, log_sigmoid
from alignment.objectives.pairs import RATIO

if TYPE_CHECKING:
    from torch import Tensor


class JensenShannon(DivergenceDPO):
    """f-DPO under the Jensen-Shannon divergence: what rises above the reference earns a bounded reward.

    Wang et al. 2023, arXiv 2309.16240. At policy == reference the loss is log 2 and every reward 0.
    """

    name: ClassVar[str] = "fdpo_js"
    title: ClassVar[str] = "f-DPO (Jensen-Shannon)"
    formula: ClassVar[str] = (
        r"-\log\sigma\!\left(\beta\left[g(y_w)-g(y_l)\right]\right),\quad g(y)=\log\sigma(d(y)),\quad " + RATIO
    )
    fixes: ClassVar[str] = (
        "Chasing ever larger margins by raising the chosen response: beyond the reference it earns no more than log 2."
    )
    costs: ClassVar[str] = (
        "Chosen responses above the reference are hardly pushed, so that margins grow by rejected ones falling."
    )
    relatives: ClassVar[tuple[Relative, ...]] = (Relative("dpo", "Near DPO where both log-ratios are far below 0."),)

    def of_ratio(self, ratio: Tensor) -> Tensor:
        """log(2 sigmoid(d))."""
        return log_sigmoid(ratio) + math.log(2)
