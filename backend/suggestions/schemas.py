"""What goes in and out of the route that takes suggestions."""

import uuid
from typing import Annotated

from pydantic import Field, StringConstraints

from backend.accounts.schemas import In, Json, Out

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
