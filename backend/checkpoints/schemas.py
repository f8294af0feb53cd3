"""What goes in and out of the routes of checkpoints."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from backend.accounts.schemas import In, Out
from backend.checkpoints.models import CheckpointKind, Source
from backend.datasets.schemas import Name
from backend.secrets.schemas import Name as SecretName
from backend.work import State

HUB_ID = r"^[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?$"
REVISION = r"^[\w][\w./-]{0,127}$"
Template = Annotated[str, Field(min_length=1, max_length=64_000)]
TemplateState = Literal["own", "given", "missing", "not needed"]


class CheckpointIn(In):
    """A folder inside one of the allowed roots, by its whole path or relative to a root."""

    folder: Annotated[str, Field(min_length=1, max_length=4096)]
    name: Name | None = None
    chat_template: Template | None = Field(None, description="For weights that have none of their own.")


Price = Annotated[
    float | None, Field(ge=0, le=1e6, allow_inf_nan=False, description="Money for a million tokens; null: not known.")
]
PerMinute = Annotated[int | None, Field(ge=1, le=1_000_000, description="Requests; null: as many as come.")]


class EndpointFacts(Out):
    """How an endpoint is asked."""

    base_url: str
    model: str
    secret: str | None
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    timeout_seconds: Annotated[float, Field(ge=1, le=600)] = 120
    requests_per_minute: PerMinute = None
    input_price: Price = None
    output_price: Price = None


class EndpointRef(In):
    """The server of an endpoint: its address up to and with /v1, and the secret that holds its key."""

    base_url: Annotated[str, Field(min_length=1, max_length=2000)]
    secret: SecretName | None = None


class EndpointIn(EndpointRef):
    """A model that an OpenAI-compatible server serves."""

    model: Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[ -~]+$")]
    name: Name | None = None
    concurrency: Annotated[int, Field(ge=1, le=64, description="Requests at once, of each worker process.")] = 4
    timeout_seconds: Annotated[float, Field(ge=1, le=600, description="Longest silence of a request.")] = 120
    requests_per_minute: PerMinute = None
    input_price: Price = None
    output_price: Price = None


class ServedOut(Out):
    """A model that an endpoint lists."""

    model: str
    max_tokens: int | None


class EndpointTestOut(Out):
    """What an endpoint answered to a test."""

    model: str
    listed: bool = Field(description="Whether the server lists the model; some list none.")
    max_tokens: int | None
    answer: str
    seconds: float


class TemplateIn(In):
    chat_template: Template


class TemplateCheckIn(TemplateIn):
    """A template to try, with the special tokens of a checkpoint or of a folder inside an allowed root."""

    checkpoint_id: uuid.UUID | None = None
    folder: Annotated[str, Field(min_length=1, max_length=4096)] | None = None


class SampleOut(Out):
    """A dialogue as a template writes it."""

    title: str
    text: str


class TemplateCheckOut(Out):
    samples: list[SampleOut]
    warnings: list[str]


class FetchIn(In):
    """A model of a hub; a branch or tag is pinned to the commit it names now."""

    hub_id: Annotated[str, Field(pattern=HUB_ID, description="Owner and name, such as `owner/model`.")]
    revision: Annotated[str, Field(pattern=REVISION, description="A commit, or a branch or tag to be pinned.")] = "main"
    name: Name | None = None
    secret: SecretName | None = Field(None, description="The project's hub token to use; unset: its first one.")
    chat_template: Template | None = Field(None, description="For a model that has none of its own.")


class ResumeIn(In):
    """How a download is to go on; another token when the first one was refused."""

    secret: SecretName | None = None


class HubFileOut(Out):
    name: str
    bytes: int


class HubModelOut(Out):
    """A model of a hub before anything large is fetched. `refusal` and `remedy` say why it cannot be fetched now."""

    hub_id: str
    revision: str
    commit: str
    license: str | None
    gated: bool
    private: bool
    token: bool = Field(description="Whether the hub was asked with a token.")
    architecture: str | None = Field(description="Null when the model's configuration cannot be read.")
    parameters: int | None
    chat_template: bool | None = Field(description="Whether one is there; null when that cannot be told.")
    files: list[HubFileOut]
    left_out: int = Field(description="Files that are not fetched: code, pickles, other copies of the weights.")
    bytes: int
    free_bytes: int
    refusal: str | None
    remedy: str | None
    warnings: list[str]


class FetchOut(Out):
    id: uuid.UUID
    created_at: datetime
    state: State
    reason: str | None
    remedy: str | None
    done: int
    total: int
    name: str
    hub_id: str
    revision: str
    commit: str | None
    secret: str | None
    license: str | None
    checkpoint_id: uuid.UUID | None


class CheckpointOut(Out):
    id: uuid.UUID
    created_at: datetime
    name: str
    source: Source
    hub_id: str | None
    revision: str | None
    run_id: uuid.UUID | None
    parent_id: uuid.UUID | None
    step: int | None
    adapter: bool
    kind: CheckpointKind = Field(description="Whether it writes responses, or scores those of others.")
    architecture: str
    parameters: int
    max_tokens: int | None
    toy: bool
    license: str | None
    endpoint: EndpointFacts | None
    chat_template: TemplateState = Field(description="The model's own, given by somebody, or missing.")
    available: bool = Field(description="Whether the weights are still where they were registered.")
    pinned: bool = Field(description="Whether no retention rule may delete the weights.")
    bytes: int | None = Field(description="Size of the weights in the storage; null where they lie elsewhere.")
    removed_at: datetime | None
    removed_by: str | None = Field(description="The retention rule that deleted the weights, in words.")


class PinIn(In):
    """Whether the weights are to stay whatever the rules say."""

    pinned: bool


class FolderOut(Out):
    """A folder that may be registered, or why it cannot be."""

    folder: str
    name: str
    registered: uuid.UUID | None
    chat_template: bool = Field(description="False when one has to be given.")
    reason: str | None
    remedy: str | None


class RunRef(Out):
    """A run as lineage shows it."""

    id: uuid.UUID
    name: str
    objective: str
    state: State
    spec: dict[str, Any]
    created_at: datetime


class SnapshotRef(Out):
    """A snapshot as lineage shows it."""

    id: uuid.UUID
    hash: str
    dataset_id: uuid.UUID
    dataset: str
    counts: dict[str, Any]


class DataRef(Out):
    """One of the snapshots that a run trained on, and its share of the draws (null: all examples alike)."""

    snapshot_id: uuid.UUID
    hash: str
    dataset_id: uuid.UUID
    dataset: str
    train: int
    weight: float | None
    share: float | None


class EvaluationRef(Out):
    """An evaluation in which a checkpoint took part."""

    id: uuid.UUID
    name: str
    state: State
    created_at: datetime


class Ancestor(Out):
    """One checkpoint of a chain, with the run and the data that made it; both null for imported weights."""

    checkpoint: CheckpointOut
    run: RunRef | None
    snapshot: SnapshotRef | None
    data: list[DataRef] = []


class LineageOut(Out):
    """A checkpoint's history, itself first and the oldest ancestor last, and what has been done with it since."""

    chain: list[Ancestor]
    children: list[CheckpointOut]
    evaluations: list[EvaluationRef]
