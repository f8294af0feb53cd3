"""What both forms of anchored optimization of lists share."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.listed import SCORED
from alignment.objectives.objective import Needs, Objective
from alignment.objectives.pairs import AnchorDecay, following

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class Anchored(Objective):
    """K responses to one prompt, scored by log(policy / anchor) / tau."""

    family: ClassVar[str] = "Lists with a reference"
    needs: ClassVar[Needs] = following(SCORED)

    tau: float = Field(
        1.0, ge=1e-6, le=1000, title="Tau", description="Temperature of the policy: 1/tau is what beta is elsewhere."
    )
    beta_r: float = Field(
        0.5,
        ge=1e-6,
        le=1000,
        title="Temperature of the scores",
        description="What scores are divided by; near 0 the best response takes all the weight.",
    )
    anchor_decay: AnchorDecay = None

    def rewards(self, batch: Batch) -> Tensor:
        """log(policy / reference) / tau, (S,)."""
        return batch.singles().ratios / self.tau
