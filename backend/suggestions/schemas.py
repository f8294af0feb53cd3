"""What goes in and out of the routes of suggestions, and of the work that makes them."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from backend.accounts.schemas import In, Json, Out
from backend.evaluations.schemas import CostOut, LimitsIn, SpentOut
from backend.work import State

MOST = 1000


class SuggestionIn(In):
    item_id: uuid.UUID
    value: Json = Field(description="What it would answer, in the item's own order.")
    margin: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = Field(
        description="How far the responses are apart in its eyes; where the task asks the most uncertain first, the"
        " smallest comes first."
    )


class SuggestionsIn(In):
    """Suggestions of one machine for a task; all of them are stored, or none."""

    by: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)] = Field(
        description="What says so, in words: annotators read it beside the suggestion."
    )
    suggestions: list[SuggestionIn] = Field(min_length=1, max_length=MOST)


class SuggestionsOut(Out):
    stored: int
    ordered: bool = Field(description="Whether the task's items are in a new order: the least certain first.")


class SuggestionOut(Out):
    """What is suggested for an item, in the item's own order."""

    item_id: uuid.UUID
    by: str
    value: dict[str, Any]
    margin: float


class SuggestedOut(Out):
    """How many items of a task a machine has suggestions for."""

    by: str
    items: int


class SuggestionJobIn(In):
    """Who shall suggest."""

    judge: Json = Field(
        description="A judge that decides by itself, with its settings, as evaluations take it.",
        examples=[{"name": "reward_model", "members": ["0198c2a5-7d1e-7b43-9c55-3f0a4e8d2b10"]}],
    )
    limits: LimitsIn | None = None


class ResumeSuggestionsIn(In):
    """How suggesting is to go on; other limits where the old ones were reached."""

    limits: LimitsIn | None = None


class SuggestionSizeOut(Out):
    """What suggesting would take; of more than 2,000 items the first ones are read, and stand for the others."""

    items: int = Field(description="Items that want labels.")
    verdicts: int = Field(description="Asked of a judge: every two responses in both orders; 0 where scores decide.")
    taken: int = Field(description="Of these, said already: they cost nothing.")
    cost: CostOut | None = Field(description="Null where no endpoint is asked.")


class SuggestionJobOut(Out):
    """Work that suggests labels; `done` and `total` count items."""

    id: uuid.UUID
    created_at: datetime
    task_id: uuid.UUID
    judge: dict[str, Any] = Field(description="Who suggests, with every setting.")
    words: str = Field(description="What annotators read of who suggests.")
    state: State
    reason: str | None
    remedy: str | None
    done: int
    total: int
    suggested: int = Field(description="Items that have a suggestion by it.")
    left_out: dict[str, int] = Field(description="Items that nothing was suggested for, by the reason.")
    median: float | None = Field(description="Of all scores, where thumbs go by it.")
    taken: int = Field(description="Verdicts that were there already, and were not asked for again.")
    limits: LimitsIn | None
    spent: SpentOut | None
    started_at: datetime | None
    finished_at: datetime | None
