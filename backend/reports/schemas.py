"""What goes in and out of the routes of reporters. Everything a reporter sends is a stranger's input."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from backend.work import State

LAST_STEP = 2**31 - 1
Text = Annotated[str, StringConstraints(max_length=200)]
Path = Annotated[str, StringConstraints(max_length=4096)]
Name = Annotated[str, StringConstraints(max_length=120)]
Step = Annotated[int, Field(ge=0, le=LAST_STEP, strict=True)]
Numbers = Annotated[dict[Name, float | None], Field(max_length=500)]


class ReporterIn(BaseModel):
    """How long a new token is good for."""

    model_config = ConfigDict(extra="forbid")

    hours: int = Field(72, ge=1, le=24 * 30, description="Hours until the token expires.")


class ReportTokenOut(BaseModel):
    """A token, shown this once, and how it is used."""

    token: str
    prefix: str
    expires_at: datetime
    url: str
    command: str


class ReporterOut(BaseModel):
    """Whether the program elsewhere is heard of, and what token it may use."""

    url: str
    heard_at: datetime | None
    connected: bool
    host: str | None
    device: str | None
    token: str | None = Field(description="The first characters of the token that is good now; null when none is.")
    expires_at: datetime | None


class StartIn(BaseModel):
    """A program that is about to train says what it is."""

    model_config = ConfigDict(extra="forbid")

    reporter: uuid.UUID
    host: Text = "unknown"
    device: Text = "unknown"
    version: Text = "unknown"


class ReportFileOut(BaseModel):
    """A file to download; what has no SHA-256 is compared by its size."""

    name: str
    size: int
    sha256: str | None = None


class WeightsOut(BaseModel):
    """A checkpoint to start from: its own files, then those of what it adapts, and so on."""

    name: str
    hub_id: str | None
    revision: str | None
    links: list[list[ReportFileOut]]


class ReportSnapshotOut(BaseModel):
    hash: str
    files: list[ReportFileOut]


class StartOut(BaseModel):
    """Everything that a program elsewhere needs to train a run."""

    run_id: uuid.UUID
    name: str
    recipe: dict[str, Any]
    snapshot: ReportSnapshotOut
    checkpoint: WeightsOut
    reference: WeightsOut | None
    third: dict[str, WeightsOut]
    offset: int
    stop: bool
    chunk_bytes: int


class Heard(BaseModel):
    """The answer to events: where the next ones begin, and whether training should stop."""

    offset: int
    state: State
    stop: bool


class FileIn(BaseModel):
    """A file of a checkpoint that is about to be sent."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,119}$")]
    size: Annotated[int, Field(ge=1, le=1 << 44, strict=True)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ReportedCheckpointIn(BaseModel):
    """The files of a checkpoint that is about to be sent."""

    model_config = ConfigDict(extra="forbid")

    files: list[FileIn] = Field(min_length=1, max_length=200)


class ArrivingOut(BaseModel):
    """How much of a checkpoint is here."""

    received: dict[str, int]
    stored: bool


class EndIn(BaseModel):
    """How the training process ended; null when nobody saw it."""

    model_config = ConfigDict(extra="forbid")

    exit_code: Annotated[int, Field(ge=-64, le=255)] | None = None


class _Event(BaseModel):
    model_config = ConfigDict(extra="allow")

    time: float | None = None


class StepEvent(_Event):
    type: Literal["step"]
    step: Step
    total_steps: Step | None = None
    values: Numbers = Field(default_factory=dict)


class CheckpointEvent(_Event):
    type: Literal["checkpoint"]
    step: Step
    path: Path
    kind: Literal["full", "lora"]
    metrics: Numbers = Field(default_factory=dict)


class SampleEvent(_Event):
    type: Literal["sample", "alarm"]
    step: Step


class LogEvent(_Event):
    type: Literal["log"]
    level: Literal["debug", "info", "warning", "error"] = "info"
    message: str
    removed_checkpoint: Path | None = None


class DoneEvent(_Event):
    type: Literal["done"]
    cancelled: bool = False


class ErrorEvent(_Event):
    type: Literal["error"]
    code: Name
    exit_code: Annotated[int, Field(ge=0, le=255)] = 1
    title: Text
    detail: str | None = None
    field: Text | None = None
    remedy: str | None = None


Event = Annotated[
    StepEvent | CheckpointEvent | SampleEvent | LogEvent | DoneEvent | ErrorEvent, Field(discriminator="type")
]
EVENT: TypeAdapter[StepEvent | CheckpointEvent | SampleEvent | LogEvent | DoneEvent | ErrorEvent] = TypeAdapter(Event)
