"""What objectives of lists share: a temperature, scores of K responses, and which of them the data put first."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.batch import Role
from alignment.objectives.objective import Needs, Objective

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch

LIST: frozenset[Role] = frozenset({Role.CANDIDATE})
RANKED = Needs(LIST, reference="sequence", facts=frozenset({"rank"}))
SCORED = Needs(LIST, reference="sequence", facts=frozenset({"score"}))


class Listed(Objective):
    """K responses to one prompt, scored by beta * log(policy / reference)."""

    family: ClassVar[str] = "Lists with a reference"

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios
