"""What preference training has made likelier decides: the implicit reward of a run's checkpoint."""

from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from alignment.judges.judge import Asked
from alignment.judges.scored import Over, Question, Score, Scored, Unread, log_ratios
from alignment.objectives.rewards import BETA


class ImplicitReward(Scored):
    """A trained checkpoint decides by how much likelier than its reference it makes an answer: beta · log-ratio.

    Rafailov et al. 2023, arXiv 2305.18290: what DPO and its relatives train is a reward model of this form. The three
    settings are those of the run that trained the checkpoint, unless they are given.
    """

    name: ClassVar[str] = "implicit_reward"
    title: ClassVar[str] = "Implicit reward of a checkpoint"

    checkpoint: UUID = Field(
        title="Trained checkpoint",
        description="A language model that a run trained on preferences.",
        json_schema_extra={"choose": "language_model"},
    )
    reference: UUID | None = Field(
        None,
        title="Reference",
        description="What it was trained from. Empty: the reference of its run.",
        json_schema_extra={"choose": "language_model"},
    )
    beta: float | None = Field(
        None, gt=0, le=1000, title="Beta", description=f"Empty: that of the run's objective, else {BETA}."
    )
    over: Over | None = Field(
        None,
        title="Over tokens",
        description="Whether log-probabilities are summed over an answer's tokens, or their mean is taken. Empty: as"
        " the run's objective does it.",
    )

    @property
    def asks(self) -> dict[str, Asked]:
        """The checkpoint, and the reference once it is known."""
        found = {"checkpoint": Asked(self.checkpoint, "language_model")}
        return found if self.reference is None else {**found, "reference": Asked(self.reference, "language_model")}

    def scores(self, questions: Sequence[Question]) -> list[list[Score | Unread]]:
        """beta (log policy - log reference) of every response.  Raises ValueError without a reference."""
        if self.reference is None:
            raise ValueError("an implicit reward needs a reference")
        policy, reference = (self._told(field, questions) for field in ("checkpoint", "reference"))
        over, beta = self.over or "sum", self.beta or BETA
        return [log_ratios(one, other, over, beta) for one, other in zip(policy, reference, strict=True)]
