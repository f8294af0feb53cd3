"""What goes in and out of the arena's routes. Nothing here names a checkpoint before a vote and the wish to know."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StrictInt, field_validator, model_validator

from backend.accounts.schemas import In
from backend.evaluations.report_schemas import PairOut, RankingOut
from backend.evaluations.schemas import CheckpointBrief, SamplingIn, Text
from backend.labels.schemas import Groups, Rationale, ShownMessage, ValueIn
from backend.work import State

FEWEST, MOST = 2, 4
MOST_MESSAGES = 50
MOST_POOL = 64
Place = Annotated[StrictInt, Field(ge=0, lt=MOST)]


class MessageIn(In):
    role: Literal["system", "user", "assistant"]
    content: Text


class BattleIn(In):
    """A prompt for two to four checkpoints."""

    prompt: Text | Annotated[list[MessageIn], Field(min_length=1, max_length=MOST_MESSAGES)] = Field(
        description="A text, or chat messages ending with the user."
    )
    contestants: int = Field(FEWEST, ge=FEWEST, le=MOST, description="How many meet, drawn by lot.")
    checkpoints: Annotated[list[uuid.UUID], Field(min_length=FEWEST, max_length=MOST_POOL)] | None = Field(
        None, description="Those to draw from. Null: all of the project that could answer."
    )
    sampling: SamplingIn = SamplingIn()

    @field_validator("prompt")
    @classmethod
    def _ends_with_user(cls, prompt: str | list[MessageIn]) -> str | list[MessageIn]:
        if isinstance(prompt, list) and prompt[-1].role != "user":
            raise ValueError("the last message must be the user's")
        return prompt

    @field_validator("checkpoints")
    @classmethod
    def _different(cls, pool: list[uuid.UUID] | None) -> list[uuid.UUID] | None:
        if pool is not None and len(set(pool)) != len(pool):
            raise ValueError("every checkpoint may be named once")
        return pool

    def messages(self) -> list[dict[str, str]]:
        """The prompt as chat messages."""
        if isinstance(self.prompt, str):
            return [{"role": "user", "content": self.prompt}]
        return [message.model_dump() for message in self.prompt]


class GoOnIn(In):
    """The person's next turn, for all contestants."""

    text: Text


class ChoiceIn(ValueIn):
    """Of two: a strength. Of more: a ranking (groups of places, best first, ties in one group), or the best alone.
    Of any: all bad, or a skip with its reason. Exactly one, in the order shown."""

    ranking: Annotated[Groups, Field(max_length=MOST)] | None = None
    best: Place | None = None


class VoteIn(In):
    client_id: uuid.UUID = Field(description="Made by the client; the same vote sent twice is stored once.")
    value: ChoiceIn
    seconds: float = Field(ge=0, le=86_400, allow_inf_nan=False)
    rationale: Rationale | None = None


class TurnOut(BaseModel):
    """An earlier turn of the conversation, and the vote on it."""

    battle_id: uuid.UUID
    message: list[ShownMessage]
    answers: list[ShownMessage | None]
    vote: dict[str, Any] | None


class BattleOut(BaseModel):
    """One's own battle, blind until one has voted and asked for the names; all lists are in the order shown."""

    id: uuid.UUID
    conversation_id: uuid.UUID
    turn: int
    created_at: datetime
    state: State
    reason: str | None
    remedy: str | None
    contestants: int
    before: list[TurnOut] = Field(description="The earlier turns, oldest first.")
    message: list[ShownMessage] = Field(description="What the person said in this turn.")
    answers: list[ShownMessage | None] = Field(description="Null until there, or when a retention rule deleted it.")
    vote: dict[str, Any] | None
    names: list[CheckpointBrief] | None


class TokensOut(BaseModel):
    """New text of each answer since the cursor; once `done`, the whole answers."""

    texts: list[str]
    fresh: bool = Field(description="The answers begin anew here: what came before is void.")
    cursor: str
    done: bool
    state: State


class OfferedPromptOut(BaseModel):
    """A prompt that the person has not asked in the arena."""

    text: str


class TallyOut(BaseModel):
    """Votes of the arena by pair, the caller's own or everybody's; a ranking where three or more have met."""

    votes: int = Field(description="Battles with a vote, but for those still blind to the caller.")
    cluster: Literal["prompt", "person"] = Field(description="What is drawn anew for intervals.")
    names: dict[uuid.UUID, str]
    pairs: list[PairOut]
    ranking: RankingOut | None


class TallyQuery(BaseModel):
    """Which votes are counted, and how."""

    mine: bool = True
    since: datetime | None = None
    cluster: Literal["prompt", "person"] = Field(
        "prompt", description="Draw first prompts of conversations anew for intervals, or people."
    )

    @model_validator(mode="after")
    def _one_person(self) -> "TallyQuery":
        if self.mine and self.cluster == "person":
            raise ValueError("cluster: one's own votes are one person's")
        return self
