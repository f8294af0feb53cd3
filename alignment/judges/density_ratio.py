"""Two language models decide by how differently likely they find an answer."""

from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from alignment.judges.judge import Asked
from alignment.judges.scored import Over, Question, Score, Scored, Unread, log_ratios


class DensityRatio(Scored):
    """The answer that a stronger model finds likelier than a weaker one wins: log strong - log weak.

    Xu et al. 2024, arXiv 2411.02481, without an instruction of its own for the stronger one. The further the two are
    apart, the better it judges; a checkpoint against itself says nothing, and two of different families compare much
    beside quality.
    """

    name: ClassVar[str] = "density_ratio"
    title: ClassVar[str] = "Density ratio of two checkpoints"

    strong: UUID = Field(
        title="Stronger checkpoint",
        description="A language model that is better aligned.",
        json_schema_extra={"choose": "language_model"},
    )
    weak: UUID = Field(
        title="Weaker checkpoint",
        description="A language model to compare with, best the one that the stronger was trained from.",
        json_schema_extra={"choose": "language_model"},
    )
    over: Over = Field(
        "sum",
        title="Over tokens",
        description="Whether log-probabilities are summed over an answer's tokens, which counts length, or their mean"
        " is taken.",
    )

    @property
    def asks(self) -> dict[str, Asked]:
        """Both."""
        return {"strong": Asked(self.strong, "language_model"), "weak": Asked(self.weak, "language_model")}

    def scores(self, questions: Sequence[Question]) -> list[list[Score | Unread]]:
        """log strong - log weak of every response, in nats."""
        strong, weak = (self._told(field, questions) for field in self.asks)
        return [log_ratios(one, other, self.over, 1.0) for one, other in zip(strong, weak, strict=True)]
