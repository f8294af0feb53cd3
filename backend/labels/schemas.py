"""What goes in and out of the labelling routes. People see and send pairs in the order shown to them."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StrictInt, StringConstraints, model_validator

from backend.accounts.schemas import In, Out
from backend.labels.models import LabelSource

MOST_CARDS = 50
MOST_HELD = 1000


Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Rationale = Annotated[str, StringConstraints(strip_whitespace=True, max_length=10_000)]
Held = Annotated[list[uuid.UUID], Field(max_length=MOST_HELD)]


class ValueIn(In):
    """Exactly one of: a strength, positive when the left response is better; both bad; a skip with its reason."""

    strength: Annotated[StrictInt, Field(ge=-3, le=3)] | None = None
    both_bad: Literal[True] | None = None
    skip: Reason | None = None

    @model_validator(mode="after")
    def _one(self) -> "ValueIn":
        if len(self.as_shown()) != 1:
            raise ValueError("give exactly one of strength, both_bad and skip")
        return self

    def as_shown(self) -> dict[str, Any]:
        """The value as it is stored, in the order shown."""
        return self.model_dump(exclude_none=True)


class LabelIn(In):
    client_id: uuid.UUID = Field(description="Made by the client; the same label sent twice is stored once.")
    lease: uuid.UUID
    value: ValueIn
    seconds: float = Field(ge=0, le=86_400, allow_inf_nan=False)
    rationale: Rationale | None = None
    holding: Held = Field([], description="Items whose cards the client has already; `next` is another one.")


class CardsIn(In):
    n: int = Field(1, ge=1, le=MOST_CARDS)
    holding: Held = Field([], description="Items whose cards the client has already.")


class ShownMessage(Out):
    """A message as the card shows it. `html` comes from the safe renderer, the rest is plain text."""

    role: str
    html: str
    text: str
    reasoning: str | None = None
    tool_calls: str | None = None


class Card(Out):
    """A pair to judge, blind: nothing tells where the responses come from or what others said."""

    item_id: uuid.UUID
    dataset_id: uuid.UUID
    lease: uuid.UUID
    expires_at: datetime
    position: int
    prompt: list[ShownMessage]
    left: ShownMessage
    right: ShownMessage


class Progress(Out):
    """How far a dataset is labelled. Skips and undone labels do not count; imported labels are not people's."""

    total: int
    labelled: int = Field(description="Items that somebody has judged.")
    by_you: int
    skipped: int = Field(description="Items that you skipped and nobody else has judged.")
    left: int = Field(description="Items that you can still judge.")
    imported: int = Field(description="Items that no person has judged and that have imported labels.")
    today: int = Field(description="Your judgements since your midnight, in all datasets.")


class CardsOut(Out):
    cards: list[Card]
    progress: Progress


class DatasetProgress(Out):
    """A dataset of pairs and how far it is."""

    dataset_id: uuid.UUID
    name: str
    toy: bool
    progress: Progress


class OwnLabelOut(Out):
    """The caller's own label in the order they saw, so that it tells nothing about the pair."""

    id: uuid.UUID
    item_id: uuid.UUID
    value: dict[str, Any]
    seconds: float | None
    rationale: str | None
    version: int
    created_at: datetime


class LabelOut(OwnLabelOut):
    """Anybody's label, its value in the item's order."""

    annotator_id: uuid.UUID | None
    annotator: str | None
    source: LabelSource
    swapped: bool


class SubmittedOut(Out):
    label: OwnLabelOut
    next: Card | None
    progress: Progress | None = Field(description="Counted when there is no next pair; see also `/progress`.")


class UndoneOut(Out):
    card: Card
    progress: Progress


class RenewedOut(Out):
    expires_at: datetime
