"""DPO with a strength for each side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.batch import Role
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
from alignment.objectives.pairs import RATIO, WITH_REFERENCE

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class FlexDPO(Objective):
    """DPO with a beta of its own for the rejected response, so that it may be pushed down more gently.

    Yan et al. 2024, arXiv 2406.07327, with fixed values, as the paper's figure 4 sweeps them, and a term of supervised
    fine-tuning. At policy == reference the loss is log 2 - sft_coef log policy(y_w).
    """

    name: ClassVar[str] = "flex_dpo"
    title: ClassVar[str] = "Flex-DPO"
    family: ClassVar[str] = WITH_REFERENCE
    formula: ClassVar[str] = r"-\log\sigma\!\left(\beta_w d(y_w)-\beta_l d(y_l)\right)-c\log\pi(y_w),\quad " + RATIO
    paper: ClassVar[Paper] = Paper(
        "3D-Properties: Identifying Challenges in DPO and Charting a Path Forward",
        "Yan et al.",
        2024,
        "2406.07327",
        "",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE
    fixes: ClassVar[str] = "Rejected responses that fall much faster than chosen ones rise, and spoil both in the end."
    costs: ClassVar[str] = "A second beta to search; the best one depends on the data and on the model."
    ranges: ClassVar[Mapping[str, Range]] = {
        "beta_w": Range(0.1, 0.1, "fixed in the paper"),
        "beta_l": Range(0.02, 0.1, "swept downwards from 0.1; 0.08 was best"),
    }
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative(
            "dpo", "Equals DPO where both betas are equal.", at={"beta_w": 0.1, "beta_l": 0.1}, theirs={"beta": 0.1}
        ),
        Relative("dpop", "DPOP holds the chosen response at the reference instead."),
    )

    beta_w: float = Field(
        0.1, gt=0, le=100, title="Beta, chosen", description="Strength of the pull towards the reference, chosen side."
    )
    beta_l: float = Field(
        0.08, gt=0, le=100, title="Beta, rejected", description="The same of the rejected side; less pushes it less."
    )
    sft_coef: float = Field(
        0.0, ge=0, le=100, title="Fine-tuning weight", description="Weight of the chosen response's likelihood."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta_w d_w - beta_l d_l) - sft_coef log policy(chosen) of the log-ratios d, (examples,)."""
        pairs = batch.pairs()
        z = self.beta_w * pairs.chosen.ratios - self.beta_l * pairs.rejected.ratios
        return -log_sigmoid(z) - self.sft_coef * pairs.chosen.logps

    def rewards(self, batch: Batch) -> Tensor:
        """log(policy / reference) times the beta of its side, (S,)."""
        ratios = batch.singles().ratios
        return (self.beta_w * ratios).where(batch.role == int(Role.CHOSEN), self.beta_l * ratios)
