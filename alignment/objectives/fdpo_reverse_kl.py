"""DPO as the case of the reverse KL among divergences."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from alignment.objectives.divergence import DivergenceDPO
from alignment.objectives.objective import Relative
from alignment.objectives.pairs import RATIO

if TYPE_CHECKING:
    from torch import Tensor


class ReverseKL(DivergenceDPO):
    """f-DPO under the reverse KL, which is DPO itself.

    Wang et al. 2023, arXiv 2309.16240. At policy == reference the loss is log 2 and every reward 0.
    """

    name: ClassVar[str] = "fdpo_reverse_kl"
    title: ClassVar[str] = "f-DPO (reverse KL)"
    formula: ClassVar[str] = r"-\log\sigma\!\left(\beta\left[g(y_w)-g(y_l)\right]\right),\quad g(y)=d(y),\quad " + RATIO
    fixes: ClassVar[str] = "The point to compare other divergences from: the same run under another name."
    costs: ClassVar[str] = "What DPO costs."
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "Equals DPO.", at={}),
        Relative("fdpo_alpha", "The alpha-divergence comes near to it as alpha falls to 0."),
    )
    logic: ClassVar[str] = r"\mathrm{Ref}(y_w)\land M(y_l)\;\Rightarrow\;\mathrm{Ref}(y_l)\land M(y_w)"

    def of_ratio(self, ratio: Tensor) -> Tensor:
        """The log-ratio itself."""
        return ratio
