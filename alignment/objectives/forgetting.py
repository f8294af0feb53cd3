"""What objectives share that forget some answers and keep others."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.batch import Role
from alignment.objectives.objective import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch, Responses

FORGET_AND_RETAIN: frozenset[Role] = frozenset({Role.UNDESIRABLE, Role.RETAIN})


class Forgetting(Objective):
    """Unwanted answers are forgotten while answers to be retained are trained on; each is an example by itself.

    The mean is over all examples, so the two weights are those of single answers, whatever the mixture: with as many of
    both it is half the sum of both means.
    """

    family: ClassVar[str] = "Forgetting"

    forget_coef: float = Field(
        1.0, ge=0, le=1000, title="Weight of forgetting", description="Weight of each answer that is to be forgotten."
    )
    retain_coef: float = Field(
        1.0, ge=0, le=1000, title="Weight of retaining", description="Weight of each answer that is to be retained."
    )

    def forgotten(self, responses: Responses) -> Tensor:
        """The loss of each answer that is to be forgotten, (N,)."""
        raise NotImplementedError

    def both(self, batch: Batch) -> Tensor:
        """The weighted loss of every example, (examples,): what is forgotten, and -log policy per token of the rest."""
        forget, retain = batch.of(Role.UNDESIRABLE), batch.of(Role.RETAIN)
        lowered = batch.added(self.forget_coef * self.forgotten(forget), forget)
        return lowered - batch.added(self.retain_coef * retain.averages, retain)
