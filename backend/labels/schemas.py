"""What goes in and out of the labelling routes. People see and send responses in the order shown to them."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt, StringConstraints, model_validator

from backend.accounts.schemas import In, Out
from backend.labels.models import LabelSource
from backend.tasks.schemas import QuestionKind

MOST_CARDS = 50
MOST_HELD = 1000


Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Rationale = Annotated[str, StringConstraints(strip_whitespace=True, max_length=10_000)]
Held = Annotated[list[uuid.UUID], Field(max_length=MOST_HELD)]


Groups = Annotated[list[Annotated[list[Annotated[StrictInt, Field(ge=0)]], Field(min_length=1)]], Field(min_length=1)]
Rating = Annotated[float, Field(allow_inf_nan=False)]
Ratings = Annotated[dict[str, Annotated[list[Rating], Field(max_length=100)]], Field(max_length=10)]


class ValueIn(In):
    """Exactly one of: a strength, positive when the first response shown is better; both bad; a skip with a reason."""

    strength: Annotated[StrictInt, Field(ge=-3, le=3)] | None = None
    both_bad: Literal[True] | None = None
    skip: Reason | None = None

    @model_validator(mode="after")
    def _one(self) -> "ValueIn":
        if len(self.as_shown()) != 1:
            names = list(type(self).model_fields)
            raise ValueError(f"give exactly one of {', '.join(names[:-1])} and {names[-1]}")
        return self

    def as_shown(self) -> dict[str, Any]:
        """The value as it is stored, in the order shown."""
        return self.model_dump(exclude_none=True)


class AnswerIn(ValueIn):
    """The same for any question: or a ranking of the responses shown (groups of their places, best first, ties in one
    group), or a thumb for the one response."""

    ranking: Annotated[Groups, Field(max_length=100)] | None = None
    thumb: StrictBool | None = None


class EditIn(In):
    """A response as it should have been; `response` is its place as shown."""

    response: Annotated[StrictInt, Field(ge=0, le=99)]
    text: Annotated[str, StringConstraints(min_length=1, max_length=100_000)]


class LabelIn(In):
    client_id: uuid.UUID = Field(description="Made by the client; the same label sent twice is stored once.")
    lease: uuid.UUID
    value: AnswerIn
    aspects: Ratings | None = Field(None, description="Ratings by the name of the aspect, one of each response shown.")
    seconds: float = Field(
        ge=0, le=86_400, allow_inf_nan=False, description="At most as long as the card was handed out is believed."
    )
    rationale: Rationale | None = None
    edit: EditIn | None = None
    holding: Held = Field([], description="Items whose cards the client has already; `next` is another one.")


class CardsIn(In):
    n: int = Field(1, ge=1, le=MOST_CARDS)
    holding: Held = Field([], description="Items whose cards the client has already.")


class ShownArgument(Out):
    """One argument of a call; without a name it is all that was given."""

    name: str | None
    text: str


class ShownCall(Out):
    """A call of a tool."""

    name: str | None
    arguments: list[ShownArgument]


class ShownMessage(Out):
    """A message as the card shows it. `html` comes from the safe renderer, the rest is plain text."""

    role: str
    html: str
    text: str = Field(description="As it is stored, in full.")
    reasoning: str | None = None
    tool_calls: list[ShownCall] | None = None


class SamePrompt(Out):
    """The item is the `place`-th of `count` with the same prompt."""

    place: int
    count: int


class Suggestion(Out):
    """What a machine would say, in the order shown."""

    value: dict[str, Any]
    by: str = Field(description="Who says so, in words.")


class Card(Out):
    """An item to judge, blind: nothing tells where the responses come from, what others said, or what is known."""

    item_id: uuid.UUID
    dataset_id: uuid.UUID
    task_id: uuid.UUID
    kind: QuestionKind
    lease: uuid.UUID
    expires_at: datetime
    position: int = Field(description="The place of the card among those that you were handed.")
    prompt: list[ShownMessage]
    responses: list[ShownMessage]
    suggestion: Suggestion | None = None
    same_prompt: SamePrompt | None = None


class Progress(Out):
    """How far a dataset, or a task, is. Skips and undone labels do not count; imported labels are not people's."""

    total: int
    labelled: int = Field(description="Items that somebody has judged; in a task those with all the labels it wants.")
    by_you: int
    skipped: int = Field(description="Items that you skipped and that still want a label.")
    left: int = Field(description="Items that you can still judge.")
    imported: int = Field(description="Items that no person has judged and that have imported labels.")
    today: int = Field(description="Your judgements since your midnight, in all datasets.")


class CardsOut(Out):
    task_id: uuid.UUID
    cards: list[Card]
    progress: Progress


class WithdrawnCard(Out):
    """A card whose item was withdrawn after it was handed out."""

    item_id: uuid.UUID


class DatasetProgress(Out):
    """A dataset of pairs, rankings or single answers and how far it is."""

    dataset_id: uuid.UUID
    name: str
    toy: bool
    tasked: bool = Field(description="There is a task about it, open for the caller or not: it is labelled there.")
    progress: Progress


class OwnLabelOut(Out):
    """The caller's own label in the order they saw, so that it tells nothing about the pair."""

    id: uuid.UUID
    item_id: uuid.UUID
    task_id: uuid.UUID | None
    kind: str
    value: dict[str, Any]
    aspects: dict[str, Any] | None
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
    surplus: bool = Field(description="It came when the task had all its labels of the item.")
    aided: dict[str, Any] | None = Field(description="The suggestion that was shown.")


class SubmittedOut(Out):
    label: OwnLabelOut
    next: Card | None
    progress: Progress | None = Field(description="Counted when there is no next pair; see also `/progress`.")
    late: bool = Field(description="Kept as surplus: enough others had answered by then.")


class UndoneOut(Out):
    card: Card | None = Field(description="None when others hold it by now, or have judged it.")
    progress: Progress | None = Field(description="Of the task; None for what settled an item, which answers none.")


class RenewedOut(Out):
    expires_at: datetime
