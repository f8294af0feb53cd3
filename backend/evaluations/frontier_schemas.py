"""Reward against KL, as it is asked and told: checkpoints as points, runs as curves, and runs at one KL."""

import uuid
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from backend.evaluations.meter_schemas import MeterOut
from backend.evaluations.schemas import CheckpointBrief

MOST_OTHERS = 5
MOST_RUNS = 8


class FrontierAsked(BaseModel):
    """What stands against KL, to which reference, and what joins from other evaluations."""

    model_config = ConfigDict(extra="forbid")

    reference_id: uuid.UUID | None = Field(None, description="Null: the baseline where measured, else the first.")
    reward: Annotated[str, Field(pattern=r"^(win|score:.{1,200})$")] = Field(
        "win", description="win: the rate against the baseline; score:NAME: the mean of what a judge measured."
    )
    judge: str | None = Field(None, max_length=200, description="Whose win rate; null: the evaluation's judge.")
    others: list[uuid.UUID] = Field([], max_length=MOST_OTHERS, description="Evaluations whose points join.")
    at: float | None = Field(None, ge=0, le=1e9, description="KL at which runs are compared; null: their middle.")
    level: float = Field(0.95, ge=0.5, le=0.999)


class RewardOut(BaseModel):
    """What a checkpoint earns, with its interval over prompts."""

    value: float
    low: float | None
    high: float | None
    n: int
    prompts: int


class FrontierPointOut(BaseModel):
    """A checkpoint: how far it has moved, and what it earns."""

    evaluation_id: uuid.UUID
    contestant: CheckpointBrief
    run_id: uuid.UUID | None
    run: str | None
    step: int | None
    kl: MeterOut
    reward: RewardOut
    front: bool = Field(description="No other point earns as much at as little KL.")


class MatchedOut(BaseModel):
    """Two runs at one KL; without a number, `reason` says why."""

    first: uuid.UUID
    second: uuid.UUID
    least: float | None = Field(description="Both were seen between this KL and `most`.")
    most: float | None
    at: float | None
    first_reward: float | None
    second_reward: float | None
    difference: float | None
    low: float | None
    high: float | None
    prompts: int
    rounds: int
    level: float
    seed: int
    reason: str | None


class UnjoinedOut(BaseModel):
    """An evaluation whose points cannot stand beside these."""

    evaluation_id: uuid.UUID
    name: str
    reason: str


class FrontierOut(BaseModel):
    """Reward against KL."""

    reference: CheckpointBrief | None
    references: list[CheckpointBrief] = Field(description="Those to which KL was measured.")
    reward: str
    rewards: list[str] = Field(description="What can stand against KL.")
    judge: str
    estimator: Literal["exact", "k1"]
    points: list[FrontierPointOut]
    began: list[uuid.UUID] = Field(description="Runs that began with the reference: at no KL, with what it earns.")
    matched: list[MatchedOut]
    unjoined: list[UnjoinedOut]
    warnings: list[str]
    level: float
    reason: str | None = Field(description="Why there are no points.")
