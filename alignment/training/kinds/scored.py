"""What losses of reward models share: what the model's head gives for each response, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from alignment.objectives.objective import Objective, State

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class RewardLoss(Objective):
    """A loss of a reward model: a linear head on hidden states gives some numbers for each response.

    `batch.logps` are these numbers: (S,) where there is one for each response, else (S, labels).
    """

    family: ClassVar[str] = "Reward models"
    comparable: ClassVar[bool] = True
    """Whether each response has a score of its own, which can be compared with that of any other."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What the numbers of the head are called, in their order."""
        raise NotImplementedError

    @property
    def of_prompt(self) -> int:
        """How many of them, the last ones, are read at the end of the prompt instead of that of the response."""
        return 0

    def reading(self) -> dict[str, Any]:
        """What somebody must know who reads the head of a saved model, as plain JSON."""
        return {"objective": self.model_dump(mode="json"), "labels": list(self.labels), "of_prompt": self.of_prompt}

    @property
    def members(self) -> int:
        """How many of an ensemble learn from each example."""
        return 1

    def each(self, batch: Batch) -> list[Batch]:
        """The batch as each member of an ensemble sees it; the batch alone where there is no ensemble."""
        return [batch]

    def member(self, batch: Batch) -> Tensor:
        """The loss of each example for one member, (examples,)."""
        raise NotImplementedError

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """The mean over the members of the loss of each example, (examples,)."""
        first, *others = map(self.member, self.each(batch))
        return sum(others, first) / (1 + len(others)) if others else first


class Scored(RewardLoss):
    """Gives each response a score; with several heads, each head's own, and their mean is the response's.

    Each head begins with random weights of its own and has a loss of its own on the same examples; where they have not
    learned the same, they disagree (Wang et al. 2024, arXiv 2401.06080, whose models share no weights).
    """

    heads: int = Field(
        1,
        ge=1,
        le=32,
        title="Heads",
        description="Scores of each response, by heads that begin differently on one model: an ensemble. Their mean is "
        "the response's score, and their disagreement is told.",
    )

    @property
    def labels(self) -> tuple[str, ...]:
        """One score, or one of each head."""
        return ("score",) if self.heads == 1 else tuple(f"head_{number}" for number in range(1, self.heads + 1))

    @property
    def members(self) -> int:
        """The heads."""
        return self.heads

    def each(self, batch: Batch) -> list[Batch]:
        """The batch with the scores of each head by itself."""
        return [batch] if self.heads == 1 else [replace(batch, logps=scores) for scores in batch.logps.unbind(1)]

    def rewards(self, batch: Batch) -> Tensor:
        """The scores themselves, the mean over the heads, (S,)."""
        return batch.logps if self.heads == 1 else batch.logps.mean(1)


def reading_of(objective: Objective) -> Mapping[str, Any] | None:
    """What somebody must know who reads the head that this objective trains; None where it trains none."""
    return objective.reading() if isinstance(objective, RewardLoss) else None
