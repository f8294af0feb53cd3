"""What goes in and out of the routes of single items."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from backend.accounts.schemas import In, Out
from backend.datasets.models import Kind
from backend.datasets.schemas import ItemOut
from backend.labels.models import LabelSource
from backend.labels.schemas import ShownMessage

EventKind = Literal[
    "added",
    "leased",
    "labelled",
    "changed",
    "undone",
    "skipped",
    "imported",
    "judged",
    "voted",
    "adjudicated",
    "edited",
    "gold_set",
    "gold_removed",
    "withdrawn",
    "restored",
    "frozen",
]
Why = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]


class WithdrawIn(In):
    reason: Annotated[Why, StringConstraints(min_length=1)] = Field(description="What is wrong with the item.")


class RestoreIn(In):
    reason: Why = ""


class KnownAnswer(Out):
    value: dict[str, Any] = Field(description="In the item's own order.")
    note: str


class ShownItem(Out):
    """The item's texts as whoever judges it sees them, in the item's own order."""

    prompt: list[ShownMessage]
    responses: list[ShownMessage]


class ItemDetail(ItemOut):
    """One item with all that a lead wants to know of it; its labels and its history have routes of their own."""

    dataset_id: uuid.UUID
    dataset_name: str
    kind: Kind
    shown: ShownItem
    withdrawn_at: datetime | None
    withdrawn_reason: str | None
    gold: KnownAnswer | None


class ItemEventOut(Out):
    """One thing that happened to an item. `value` is in the item's order for researchers, as shown for an annotator."""

    id: uuid.UUID
    at: datetime
    kind: EventKind
    by: str | None = None
    by_id: uuid.UUID | None = None
    source: LabelSource | None = None
    task_id: uuid.UUID | None = None
    task: str | None = None
    value: dict[str, Any] | None = None
    text: str | None = Field(None, description="A reason that somebody wrote.")
    seconds: float | None = None
    surplus: bool = False
    snapshot_id: uuid.UUID | None = None
