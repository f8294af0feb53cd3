"""What goes in and out of the routes of runs."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from alignment.formats.preference import Policy
from alignment.parts import Part
from alignment.training.kinds import of_kind, refuse_reference
from alignment.training.spec import (
    BatchSize,
    Checkpointing,
    Devices,
    Duration,
    Evaluate,
    FullTuning,
    Keep,
    Kept,
    Kind,
    Length,
    Loss,
    Optimizer,
    Pairs,
    Parallel,
    Precision,
    Seed,
    Trackers,
    Tuning,
    Weight,
    refuse_some_weights,
)
from alignment.training.thirds import RewardBeta, refuse_idle_beta, refuse_other_thirds
from backend.accounts.schemas import Out
from backend.datasets.schemas import Name
from backend.objectives.cards import ObjectiveOut
from backend.regressions.schemas import GuardIn, RegressionBrief
from backend.runs.models import Place
from backend.runs.presets import Preset
from backend.work import State

BESIDE_THE_SPEC = {
    "name",
    "where",
    "checkpoint_id",
    "reference_id",
    "third_ids",
    "dataset_id",
    "snapshot_id",
    "mixture",
    "policy",
    "guard",
}
MOST_INGREDIENTS = 16


class Ingredient(Part):
    """One part of the data: a dataset that is frozen, or a snapshot; with the share of the draws that comes from it."""

    dataset_id: uuid.UUID | None = None
    snapshot_id: uuid.UUID | None = None
    weight: Weight | None = Field(None, description="Share of the draws, relative to the others; for all or for none.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.dataset_id is None) == (self.snapshot_id is None):
            raise PydanticCustomError("one_source", "give either dataset_id or snapshot_id, and not both")
        return self


class RunIn(Part):
    """A run: the spec of `alignment.training.spec` with ids where that has paths."""

    name: Name
    kind: Kind = "preference"
    where: Literal["worker", "report"] = Field(
        "worker", description="Who trains: a worker of this server, or a program elsewhere that reports over HTTPS."
    )
    checkpoint_id: uuid.UUID = Field(description="Checkpoint to start from.")
    reference_id: uuid.UUID | None = Field(None, description="Reference; empty for the starting checkpoint.")
    dataset_id: uuid.UUID | None = Field(None, description="Dataset to freeze and train on.")
    snapshot_id: uuid.UUID | None = Field(None, description="Snapshot to train on, instead of a dataset.")
    mixture: list[Ingredient] | None = Field(
        None, min_length=2, max_length=MOST_INGREDIENTS, description="Several of them, instead of one."
    )
    policy: Policy = Field(Policy(), description="How labels become chosen and rejected when a dataset is frozen.")
    objective: Loss
    third_ids: dict[str, uuid.UUID] = Field(
        {},
        validate_default=True,
        description="Other checkpoints, by name: those that the objective asks for (a guide, a teacher), and those that"
        " tell facts in the place of the data (reward, reward_reference).",
    )
    reward_beta: RewardBeta = None
    tuning: Tuning = FullTuning()
    optimizer: Optimizer = Optimizer()
    batch: BatchSize = BatchSize()
    length: Length = Length()
    duration: Duration = Duration(epochs=1)
    precision: Precision = "fp32"
    gradient_checkpointing: Checkpointing = "auto"
    evaluate: Evaluate = Evaluate()
    keep: Kept = Keep()
    devices: Devices = 1
    parallel: Parallel = "auto"
    seed: Seed = 0
    pairs: Pairs = "together"
    trackers: Trackers = []
    guard: GuardIn | None = Field(None, description="Check it for regressions like this when it has succeeded.")

    @field_validator("third_ids", mode="after")
    @classmethod
    def _thirds_of_the_objective(cls, value: dict[str, uuid.UUID], info: ValidationInfo) -> dict[str, uuid.UUID]:
        refuse_other_thirds(value, info.data.get("objective"))
        return value

    _usual_loss = model_validator(mode="before")(of_kind)

    @field_validator("mixture", mode="after")
    @classmethod
    def _all_weights_or_none(cls, value: list[Ingredient] | None) -> list[Ingredient] | None:
        refuse_some_weights([part.weight for part in value or ()])
        if value and len({(part.dataset_id, part.snapshot_id) for part in value}) < len(value):
            raise PydanticCustomError("named_twice", "name each dataset once, and give it more weight instead")
        return value

    @model_validator(mode="after")
    def _a_reference_only_where_one_is_compared_with(self) -> Self:
        refuse_reference(self.objective, self.reference_id, "reference_id")
        return self

    @model_validator(mode="after")
    def _a_scale_only_of_implicit_rewards(self) -> Self:
        refuse_idle_beta(self.reward_beta, self.third_ids, "reward_beta")
        return self

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(given is not None for given in (self.dataset_id, self.snapshot_id, self.mixture)) != 1:
            raise PydanticCustomError("one_source", "give dataset_id, snapshot_id or mixture, and only one of them")
        return self

    def ingredients(self) -> list[tuple[str, Ingredient]]:
        """The parts of the data, each with the path of its field."""
        alone = Ingredient(dataset_id=self.dataset_id, snapshot_id=self.snapshot_id) if self.mixture is None else None
        parts = (
            [("", alone)] if alone else [(f"mixture.{place}.", part) for place, part in enumerate(self.mixture or ())]
        )
        return [(f"{path}{'snapshot_id' if part.snapshot_id else 'dataset_id'}", part) for path, part in parts]

    def recipe(self) -> dict[str, Any]:
        """What training is told, without its paths: the ids and the policy stand in rows."""
        return self.model_dump(mode="json", exclude=BESIDE_THE_SPEC)


class ContinueIn(Part):
    """What may change when a run goes on."""

    tokens_per_pack: Literal["auto"] | Annotated[int, Field(ge=16, le=16_777_216)] | None = Field(
        None, description="Most tokens computed at once from now on, for a run that ran out of memory."
    )


class Finding(BaseModel):
    """Something wrong or doubtful about a run that is not launched yet."""

    field: str | None
    detail: str
    remedy: str | None = None


class MemoryPart(BaseModel):
    """One part of the memory estimate."""

    name: str
    bytes: int


TimeBy = Literal["runs", "speed"]


class EstimateOut(BaseModel):
    """What a run will take; `seconds` is a range, null where neither a comparable run nor a machine was measured.

    Tokens are null where they cannot be counted before the launch.
    """

    memory: list[MemoryPart]
    memory_bytes: int
    memory_error: float = Field(description="Share by which the memory was wrong at most where it was measured.")
    available_bytes: int | None = Field(description="Free memory of this machine; null when a GPU will train.")
    device: str
    parameters: int
    trainable: int
    disk_bytes: int
    free_disk_bytes: int
    examples: int
    steps: int
    tokens: int | None = Field(description="Of all examples seen, the prompt counted with each response.")
    tokens_computed: int | None = Field(description="Of them, those that are computed: a shared prompt once.")
    gradient_checkpointing: bool = Field(description="Whether layers would be computed again to save memory.")
    seconds: tuple[float, float] | None
    seconds_by: TimeBy | None = Field(
        description="What tells the time: earlier runs like it, or how fast the workers' machines compute."
    )


class PreflightOut(BaseModel):
    """Errors forbid the launch, warnings do not; `yaml` is the same run for the command line."""

    errors: list[Finding]
    warnings: list[Finding]
    estimate: EstimateOut | None
    yaml: str | None


class RunOut(Out):
    id: uuid.UUID
    created_at: datetime
    name: str
    kind: str
    objective: str
    state: State
    reason: str | None
    remedy: str | None
    failure: str | None
    stop_requested: bool
    done: int
    total: int
    eta_seconds: float | None
    started_at: datetime | None
    finished_at: datetime | None
    heartbeat_at: datetime | None
    checkpoint_id: uuid.UUID
    snapshot_id: uuid.UUID
    place: Place
    host: str | None
    device: str | None
    devices: int
    reporter: dict[str, Any] | None
    state_step: int | None = Field(description="Step after which a run that was stopped can go on; null when it can't.")
    state_host: str | None = Field(description="The only machine that can continue it; null when every worker can.")


class RunRow(RunOut):
    """A run in the list, with what the table shows of other rows."""

    position: int | None = Field(description="Place in the queue, from 1; null when it is not waiting.")
    checkpoint: str
    checkpoint_toy: bool
    dataset_id: uuid.UUID
    dataset: str
    regression: RegressionBrief | None = Field(description="Its newest check for regressions.")
    metrics: dict[str, float]
    sparkline: list[float]


class MixedOut(BaseModel):
    """A snapshot that a run trains on, and its share of the draws (null: all examples are taken alike)."""

    snapshot_id: uuid.UUID
    hash: str
    dataset_id: uuid.UUID
    dataset: str
    train: int
    weight: float | None
    share: float | None


class RunDetail(RunRow):
    """One run with its spec."""

    data: list[MixedOut]

    spec: dict[str, Any]
    yaml: str
    snapshot_hash: str
    reference_id: uuid.UUID | None
    third_ids: dict[str, uuid.UUID] = Field(description="Other checkpoints that the objective asks for, by name.")
    events_offset: int
    checkpoints: list[uuid.UUID]
    guard: dict[str, Any] | None = Field(description="How it is checked for regressions when it has succeeded.")


class Series(BaseModel):
    """One metric's course. A bucket of the ladder has a mean as its value and the lowest and highest beside it."""

    step: list[int] = Field(default_factory=list)
    value: list[float | None] = Field(default_factory=list)
    low: list[float] = Field(default_factory=list)
    high: list[float] = Field(default_factory=list)


class MetricsOut(BaseModel):
    """Metrics up to `cursor`. `whole` replaces what the caller has; otherwise it is appended to that."""

    cursor: int
    whole: bool
    level: int
    series: dict[str, Series]


class KindOut(BaseModel):
    """A kind of run. `losses` are what it trains by, as `/objectives` tells of each; empty where that has them all."""

    name: str
    title: str
    summary: str
    losses: list[ObjectiveOut]


class FormOut(BaseModel):
    """What the launch form is drawn from."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    json_schema: dict[str, Any] = Field(alias="schema")
    kinds: list[KindOut]
    presets: list[Preset]
    gpus: int | None = Field(description="GPUs of the largest worker that is alive; null when none is known.")


class EventOut(Out):
    id: uuid.UUID
    created_at: datetime
    kind: str
    step: int | None
    payload: dict[str, Any]


class EventsOut(BaseModel):
    """Events in order; ask again with `cursor` as `after`."""

    items: list[EventOut]
    cursor: uuid.UUID | None
