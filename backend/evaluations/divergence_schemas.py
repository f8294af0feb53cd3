"""How far contestants have moved from a reference, as it is asked and told."""

import uuid

from pydantic import BaseModel, ConfigDict, Field

from backend.evaluations.meter_schemas import MeterOut
from backend.evaluations.schemas import CheckpointBrief

MOST_PROMPTS = 200


class DivergencesIn(BaseModel):
    """Which checkpoint contestants are measured against, and on how many of the evaluation's prompts."""

    model_config = ConfigDict(extra="forbid")

    reference_id: uuid.UUID | None = Field(None, description="Null: the baseline.")
    prompts: int = Field(50, ge=1, le=MOST_PROMPTS, description="Drawn by lot, the same for everybody.")


class DivergenceOut(BaseModel):
    """KL(contestant || reference) on the contestant's own answers, in nats."""

    contestant: uuid.UUID
    exact: MeterOut = Field(description="Mean over answers of the divergence over the whole vocabulary, summed.")
    k1: MeterOut = Field(description="Mean log-ratio of an answer.")
    k3: MeterOut = Field(description="Mean over answers of the sum of exp(-u) - 1 + u over tokens.")
    per_token: MeterOut = Field(description="The log-ratio of all answers by their tokens.")
    waiting: int = Field(description="Answers that are queued or being read.")
    failed: int


class DivergencesOut(BaseModel):
    """Every contestant that was measured against one reference."""

    reference: CheckpointBrief
    items: list[DivergenceOut]
    warnings: list[str]
    level: float
