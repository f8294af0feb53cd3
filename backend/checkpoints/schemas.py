"""What goes in and out of the routes of checkpoints."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from backend.accounts.schemas import In, Out
from backend.checkpoints.models import Source
from backend.datasets.schemas import Name
from backend.work import State

HUB_ID = r"^[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?$"
REVISION = r"^[\w][\w./-]{0,127}$"


class CheckpointIn(In):
    """A folder inside one of the allowed roots, by its whole path or relative to a root."""

    folder: Annotated[str, Field(min_length=1, max_length=4096)]
    name: Name | None = None


class FetchIn(In):
    """A model of a hub; a branch or tag is pinned to the commit it names now."""

    hub_id: Annotated[str, Field(pattern=HUB_ID, description="Owner and name, such as `owner/model`.")]
    revision: Annotated[str, Field(pattern=REVISION, description="A commit, or a branch or tag to be pinned.")] = "main"
    name: Name | None = None


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
    architecture: str
    parameters: int
    max_tokens: int | None
    toy: bool
    available: bool = Field(description="Whether the weights are still where they were registered.")


class FolderOut(Out):
    """A folder that may be registered, or why it cannot be."""

    folder: str
    name: str
    registered: uuid.UUID | None
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


class LineageOut(Out):
    """A checkpoint's history, itself first and the oldest ancestor last, and what has been done with it since."""

    chain: list[Ancestor]
    children: list[CheckpointOut]
    evaluations: list[EvaluationRef]
