"""What goes out of the route of usage."""

import uuid
from datetime import datetime
from typing import Literal

from backend.accounts.schemas import Out

By = Literal["project", "person", "objective"]


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
