"""What answers are like, as it is told: every number with what is needed to read it."""

import uuid

from pydantic import BaseModel, Field


class MeterOut(BaseModel):
    """A number of a set of answers with its interval over prompts; null numbers have a `reason`."""

    value: float | None
    low: float | None
    high: float | None
    n: int = Field(description="Answers.")
    prompts: int
    level: float
    reason: str | None


class ContestantMetersOut(BaseModel):
    """What one contestant's answers are like."""

    contestant: uuid.UUID
    meters: dict[str, MeterOut]
    against: dict[str, MeterOut] = Field(description="Less the baseline's, on prompts that both answered.")


class MetersOut(BaseModel):
    """Meters of every contestant, the baseline first."""

    contestants: list[ContestantMetersOut]
    prompts: int = Field(description="Prompts with an answer that was read.")
    of: int = Field(description="Prompts of the evaluation; of many, some are drawn, the same for everybody.")
    level: float
