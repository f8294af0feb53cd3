"""What goes in and out of the route by which programs send labels."""

import uuid
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from backend.accounts.schemas import In, Json, Out

MOST = 500
Annotator = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=10_000)]


class OutsideLabelIn(In):
    """A label in the item's own order: `responses[0]` is the first, whatever was shown to whom."""

    client_id: uuid.UUID = Field(description="Made by the sender; the same label sent twice is stored once.")
    item_id: uuid.UUID
    annotator: Annotator = Field(description="Who judged: its newest label of an item is the one that counts.")
    value: Json = Field(
        description="`{strength: -3..3}`, positive when the first is better; `{both_bad: true}`; `{ranking: groups}`,"
        " best first, like `[[1], [0, 2]]`; `{thumb: true}`; or `{skip: reason}`."
    )
    aspects: Json | None = Field(None, description="`{name: [a number for each response]}`.")
    rationale: Reason | None = None
    seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] | None = None


class OutsideLabelsIn(In):
    """Labels of one dataset; all of them are stored, or none."""

    source: Literal["judge", "import"] = Field(description="A program's judgement, or that of people elsewhere.")
    labels: list[OutsideLabelIn] = Field(min_length=1, max_length=MOST)


class OutsideLabelOut(Out):
    id: uuid.UUID
    client_id: uuid.UUID
    item_id: uuid.UUID


class OutsideLabelsOut(Out):
    """The labels in the order in which they were sent; `known` of them were there already."""

    labels: list[OutsideLabelOut]
    known: int
