"""What goes in and out of the routes of regressions."""

import uuid
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from backend.accounts.schemas import In
from backend.evaluations.schemas import CheckpointBrief, HarnessIn, SamplingIn
from backend.prompt_checks.schemas import Category
from backend.work import State

RunMark = Literal["worse", "no_worse", "unclear"]


class GuardIn(In):
    """How a run is checked for regressions."""

    categories: list[Category] | None = Field(
        [], max_length=100, description="Of prompt checks; empty: all of them; null: none, for tasks alone."
    )
    harness: HarnessIn | None = Field(
        None, validate_default=True, description="Tasks of lm-evaluation-harness besides."
    )
    margin: float = Field(
        0.02, ge=0, le=0.5, allow_inf_nan=False, description="A fall by no more than this share of prompts is no harm."
    )
    level: float = Field(0.95, ge=0.5, le=0.999, allow_inf_nan=False)
    sampling: SamplingIn = Field(SamplingIn(temperature=0), validate_default=True)
    seed: int = Field(0, ge=0, le=2**31 - 1)

    @field_validator("harness")
    @classmethod
    def _something(cls, harness: HarnessIn | None, info: ValidationInfo) -> HarnessIn | None:
        if harness is None and "categories" in info.data and info.data["categories"] is None:
            raise ValueError("name tasks, or categories of prompt checks")
        return harness


class RegressionIn(GuardIn):
    """The same of two checkpoints that are named."""

    checkpoint_id: uuid.UUID | None = Field(None, description="One of the run's; null: its last that is still there.")
    base_id: uuid.UUID | None = Field(
        None, description="What it must not be worse than; null: the run's reference, else where it started."
    )


class RegressionPart(BaseModel):
    """One thing that was compared, as a share of prompts (or a task's metric) of which more is better.

    `p` is corrected over all parts. Numbers are null where there are none, and `reason` says why.
    """

    kind: Literal["checks", "answers", "refuses", "task"] = Field(
        description="`answers`: of prompts that should be answered, those not refused. `refuses`: the other way round."
    )
    name: str
    mark: RunMark | None = Field(description="Null where the margin says nothing about a task's metric.")
    base: float | None
    now: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    prompts: int
    better: int | None = Field(description="Prompts on which it is better now; null where only errors are known.")
    worse: int | None
    left_out: int = Field(description="Prompts of which one side could not be looked at.")
    needed: int | None = Field(description="About how many prompts would tell; null where told, or none would.")
    method: Literal["paired", "two_errors", "none"]
    reason: str | None


class RegressionFound(BaseModel):
    """What a check for regressions amounts to."""

    mark: RunMark
    summary: str = Field(description="In one sentence.")
    statements: list[str] = Field(description="What makes it worth little, in sentences.")
    parts: list[RegressionPart]
    reasons: dict[str, int] = Field(description="Prompts that were left out, by reason.")
    margin: float
    level: float
    seed: int


class RegressionBrief(BaseModel):
    """The newest check of a run, as lists show it."""

    id: uuid.UUID
    evaluation_id: uuid.UUID
    state: State
    mark: RunMark | None
    summary: str | None


class RegressionOut(BaseModel):
    id: uuid.UUID
    created_at: datetime
    run_id: uuid.UUID
    evaluation_id: uuid.UUID = Field(description="What was answered and judged; cancel and resume it there.")
    checkpoint: CheckpointBrief | None
    base: CheckpointBrief | None
    margin: float
    level: float
    state: State
    reason: str | None
    remedy: str | None
    stop_requested: bool
    done: int
    total: int
    finished_at: datetime | None
    mark: RunMark | None
    result: RegressionFound | None
