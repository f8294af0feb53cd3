"""What the Home page is told."""

import uuid
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from backend.work import State


class LabellingOut(BaseModel):
    """How far the datasets of pairs are; `left` (pairs that have no label, imported ones included) and `by_you` are the
    caller's own."""

    pairs: int
    labelled: int
    left: int
    by_you: int
    today: int
    next_dataset_id: uuid.UUID | None = Field(description="Where the caller goes on labelling.")
    next_dataset: str | None


class RunLine(BaseModel):
    id: uuid.UUID
    name: str
    objective: str
    state: State
    done: int
    total: int
    eta_seconds: float | None
    finished_at: datetime | None


class RunsOut(BaseModel):
    waiting: int
    succeeded: int
    failed: int
    active: list[RunLine]
    newest: RunLine | None


class WinRateLine(BaseModel):
    """The newest evaluation's contestant against its baseline, with what is needed to read the number."""

    evaluation_id: uuid.UUID
    evaluation: str
    contestant: str
    baseline: str
    judge: str
    toy: bool
    rate: float
    low: float
    high: float
    n: int
    level: float


class EvaluationsOut(BaseModel):
    active: int
    succeeded: int
    newest: list[WinRateLine]


class ResumeLine(BaseModel):
    """Something the caller began and may go on with."""

    kind: Literal["label", "run", "evaluation", "dataset"]
    title: str
    detail: str
    address: str
    at: datetime | None


class MachineOut(BaseModel):
    """What this machine offers to training."""

    gpu: bool
    cores: int
    memory_bytes: int


class HomeOut(BaseModel):
    """The loop in numbers. What an annotator may not see is null."""

    datasets: int
    labelling: LabellingOut
    checkpoints: int | None
    trained_checkpoints: int | None
    runs: RunsOut | None
    evaluations: EvaluationsOut | None
    votes: int = Field(description="Verdicts by people, in the arena and in evaluations.")
    resume: list[ResumeLine]
    machine: MachineOut | None
