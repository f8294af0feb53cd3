"""What the routes of presets answer."""

import uuid
from typing import Literal

from pydantic import BaseModel, Field

from alignment.formats import Columns, Kind
from alignment.presets import TuningKind


class GpuOut(BaseModel):
    """A GPU of this machine."""

    name: str
    memory_bytes: int


class HereOut(BaseModel):
    """The machine that answers; workers on other machines may have more."""

    gpus: list[GpuOut]
    memory_bytes: int
    hub: Literal["reachable", "unreachable", "offline"] | None = Field(description="Null while it is being asked.")
    hub_address: str
    looking: bool = Field(description="True until the first look at GPUs and hub has ended; ask again then.")


class FitOut(BaseModel):
    """What training a model in one way takes, and whether this machine has it."""

    tuning: TuningKind
    fits: bool
    memory_bytes: int
    reason: str


class ModelOut(BaseModel):
    """A model to start from."""

    name: str
    family: str
    hub_id: str
    base_hub_id: str
    license: str
    gated: bool
    parameters: int
    fits: list[FitOut]
    checkpoint_id: uuid.UUID | None = Field(description="The project's checkpoint of it, when it is here already.")


class OfferedDatasetOut(BaseModel):
    """A split of a hub's dataset."""

    name: str
    hub_id: str
    config: str
    split: str
    format: str
    columns: Columns | None
    kind: Kind
    license: str
    rows: int
    text: str


class PresetsOut(BaseModel):
    """What people can start with on this machine."""

    machine: HereOut
    models: list[ModelOut]
    datasets: list[OfferedDatasetOut]
