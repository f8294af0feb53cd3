"""DPO under an alpha-divergence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.bounded import exponential_less_one
from alignment.objectives.divergence import DivergenceDPO
from alignment.objectives.objective import Range, Relative
from alignment.objectives.pairs import RATIO, strength

if TYPE_CHECKING:
    from torch import Tensor


class Alpha(DivergenceDPO):
    """f-DPO under an alpha-divergence, between the reverse KL (alpha to 0, DPO) and the forward KL (alpha to 1).

    Wang et al. 2023, arXiv 2309.16240; others write 1 - alpha for alpha. At policy == reference the loss is
    log 2 and every reward 0. e^{-alpha d} is clamped at alpha d = -20 and goes on as a line from there.
    """

    name: ClassVar[str] = "fdpo_alpha"
    title: ClassVar[str] = "f-DPO (alpha)"
    formula: ClassVar[str] = (
        r"-\log\sigma\!\left(\beta\left[g(y_w)-g(y_l)\right]\right),\quad g(y)=-\frac{e^{-\alpha d(y)}}{\alpha},\quad "
        + RATIO
    )
    fixes: ClassVar[str] = (
        "Loss of variety, as far as one chooses: alpha sets how steep the price of falling below the reference is."
    )
    costs: ClassVar[str] = "One more value to search; with a large alpha, what the forward KL costs."
    ranges: ClassVar[Mapping[str, Range]] = {"alpha": Range(0.3, 0.7, "0.3, 0.5 and 0.7 in the paper")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "Comes near to DPO as alpha falls to 0."),
        Relative("fdpo_forward_kl", "Comes near to the forward KL as alpha rises to 1."),
    )

    beta: float = strength(0.1)
    alpha: float = Field(
        0.5, ge=1e-6, lt=1, title="Alpha", description="From the reverse KL, near 0, to the forward KL."
    )

    def of_ratio(self, ratio: Tensor) -> Tensor:
        """(1 - e^{-alpha d}) / alpha, clamped at alpha d = -20."""
        return -exponential_less_one(-self.alpha * ratio) / self.alpha
