"""Reward models decide: one, or an ensemble whose disagreement counts against a response."""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from alignment.judges.judge import Asked
from alignment.judges.scored import Answer, Question, Score, Scored, Unread

MOST_MEMBERS = 8


class RewardModel(Scored):
    """A reward model scores both answers, or several do; the higher score wins.

    With several members (models, or heads of one) a response's score is the lower bound mean - caution · deviation
    over them, the deviation being that of these members, not an estimate for others. Scores of different models have
    different scales and zeros: members of one family, trained on the same data, are what the bound is meant for.
    """

    name: ClassVar[str] = "reward_model"
    title: ClassVar[str] = "Reward models"

    members: Annotated[tuple[UUID, ...], Field(min_length=1, max_length=MOST_MEMBERS)] = Field(
        title="Reward models",
        description="Checkpoints that score responses: runs of the kind reward model, or imported sequence classifiers"
        " with one label. Several vote as an ensemble.",
        json_schema_extra={"choose": "reward_model"},
    )
    caution: float = Field(
        0.0,
        ge=0,
        le=100,
        title="Caution",
        description="How many standard deviations over the members (or heads) are taken from their mean score. 0: the"
        " mean.",
    )

    @property
    def asks(self) -> dict[str, Asked]:
        """Every member."""
        return {f"members.{place}": Asked(one, "reward_model") for place, one in enumerate(self.members)}

    def scores(self, questions: Sequence[Question]) -> list[list[Score | Unread]]:
        """The lower bound over all heads of all members."""
        told = [self._told(field, questions) for field in self.asks]
        return [
            [self._bound(members) for members in zip(*of_question, strict=True)]
            for of_question in zip(*told, strict=True)
        ]

    def _bound(self, members: Sequence[Answer]) -> Score | Unread:
        values: list[float] = []
        for one in members:
            if isinstance(one, Unread):
                return one
            values += one.values
        mean = math.fsum(values) / len(values)
        if len(values) == 1:
            return Score(mean, {"score": mean})
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
        bound = mean - self.caution * deviation
        return Score(bound, {"score": bound, "mean of members": mean, "deviation of members": deviation})
