"""What goes out of the route of usage."""

import uuid
from datetime import datetime
from typing import Literal

from backend.accounts.schemas import Out

By = Literal["project", "person", "objective"]
StorageKind = Literal["checkpoints", "snapshots", "exports", "uploads"]


class UsedOut(Out):
    """What one project, person or objective used. A device that runs for an hour is an hour, four of them are four.

    `id` is null for an objective, and for runs whose person is not known. `devices` is seconds by name of the device;
    "unknown" is what no trainer has told.
    """

    id: uuid.UUID | None
    name: str
    runs: int
    running: int
    accelerator_seconds: float
    cpu_seconds: float
    unknown_seconds: float
    devices: dict[str, float]


class UsageOut(Out):
    """Usage between two times, the most first. Runs that go on count until `until` or now."""

    since: datetime
    until: datetime
    by: By
    items: list[UsedOut]


class KeptOut(Out):
    """Objects of one kind in the storage; `unmeasured` of them are not in `bytes` yet."""

    kind: StorageKind
    count: int
    bytes: int
    unmeasured: int


class ProjectKeepsOut(Out):
    """What a project keeps in the storage. Weights in folders that somebody registered are not counted."""

    id: uuid.UUID
    name: str
    bytes: int
    kinds: list[KeptOut]


class StorageOut(Out):
    """What every project keeps, the most first; and of the web server's machine its copies and its disk."""

    items: list[ProjectKeepsOut]
    cache_bytes: int
    disk_bytes: int
    free_bytes: int
