"""What goes in and out of the route that takes feedback."""

import uuid
from typing import Annotated, Self

import orjson
from pydantic import Field, StrictBool, StringConstraints, field_validator, model_validator

from backend.accounts.schemas import In, Json, Out

MOST = 100
MOST_TURNS = 200
MOST_BYTES = 256 << 10


class FeedbackItemIn(In):
    """What one user said of one answer: a thumb, the answer as they would have it, or both."""

    client_id: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None, description="The sender's own id of it; the same feedback sent twice is stored once."
    )
    messages: list[Json] = Field(
        min_length=2, max_length=MOST_TURNS, description="The conversation, up to and with the answer that was judged."
    )
    thumb: StrictBool | None = Field(None, description="True: the answer is wanted.")
    edited: Annotated[str, StringConstraints(max_length=MOST_BYTES)] | None = Field(
        None, description="The answer as the user would have it: becomes a pair with the one that was given."
    )
    user: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = Field(
        None, description="Any id of the user; only a keyed hash of it is stored."
    )
    model: Annotated[str, StringConstraints(max_length=200)] | None = Field(None, description="What answered.")
    comment: Annotated[str, StringConstraints(strip_whitespace=True, max_length=10_000)] | None = None

    @field_validator("messages")
    @classmethod
    def _bounded(cls, messages: list[Json]) -> list[Json]:
        if len(orjson.dumps(messages)) > MOST_BYTES:
            raise ValueError(f"the conversation is longer than {MOST_BYTES >> 10} KiB")
        return messages

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.thumb is None and self.edited is None:
            raise ValueError("give a thumb, an edited answer, or both")
        return self


class FeedbackIn(In):
    """Feedback for one dataset of the project; all of it is stored, or none."""

    dataset: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)] = Field(
        "Feedback", description="Its name; it is made at first use, and holds nothing but feedback."
    )
    items: list[FeedbackItemIn] = Field(min_length=1, max_length=MOST)


class FeedbackItemOut(Out):
    """Where it went: the answer with its thumb, and the pair that an edit made; `known` when it was there already."""

    id: uuid.UUID
    client_id: str | None
    item_id: uuid.UUID | None
    pair_id: uuid.UUID | None
    known: bool


class FeedbackOut(Out):
    dataset_id: uuid.UUID | None = Field(description="Of answers with thumbs; null where none came.")
    pairs_id: uuid.UUID | None = Field(description="Of pairs that edits made; null where none came.")
    items: list[FeedbackItemOut]
