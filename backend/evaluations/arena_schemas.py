"""What goes in and out of the arena's routes. Nothing here names a checkpoint before the vote."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator

from backend.accounts.schemas import In
from backend.evaluations.report_schemas import PairOut
from backend.evaluations.schemas import JudgedOut, SamplingIn, Text
from backend.labels.schemas import ShownMessage
from backend.work import State

MOST_MESSAGES = 50


class MessageIn(In):
    role: Literal["system", "user", "assistant"]
    content: Text


class ArenaIn(In):
    prompt: Text | Annotated[list[MessageIn], Field(min_length=1, max_length=MOST_MESSAGES)] = Field(
        description="A text, or chat messages ending with the user."
    )
    checkpoints: tuple[uuid.UUID, uuid.UUID] | None = Field(None, description="Null: two at random.")
    sampling: SamplingIn = SamplingIn()

    @field_validator("prompt")
    @classmethod
    def _ends_with_user(cls, prompt: str | list[MessageIn]) -> str | list[MessageIn]:
        if isinstance(prompt, list) and prompt[-1].role != "user":
            raise ValueError("the last message must be the user's")
        return prompt

    @field_validator("checkpoints")
    @classmethod
    def _two(cls, pair: tuple[uuid.UUID, uuid.UUID] | None) -> tuple[uuid.UUID, uuid.UUID] | None:
        if pair is not None and pair[0] == pair[1]:
            raise ValueError("choose two different checkpoints")
        return pair

    def messages(self) -> list[dict[str, str]]:
        """The prompt as chat messages."""
        if isinstance(self.prompt, str):
            return [{"role": "user", "content": self.prompt}]
        return [message.model_dump() for message in self.prompt]


class ArenaOut(BaseModel):
    """One's own match, blind until one has voted: then `judged` holds the vote and the names."""

    id: uuid.UUID
    created_at: datetime
    state: State
    reason: str | None
    remedy: str | None
    prompt: list[ShownMessage]
    left: ShownMessage | None
    right: ShownMessage | None
    judged: JudgedOut | None


class TokensOut(BaseModel):
    """New text of both sides since the cursor; once `done`, `left` and `right` are the whole answers."""

    left: str
    right: str
    cursor: str
    done: bool
    state: State


class TallyOut(BaseModel):
    """Votes of the arena by pair, the caller's own or everybody's."""

    votes: int
    names: dict[uuid.UUID, str]
    pairs: list[PairOut]
