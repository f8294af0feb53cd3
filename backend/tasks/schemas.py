"""What goes in and out of the routes of tasks: questions, who answers them, known answers, and how far they are."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, StringConstraints, field_validator, model_validator

from backend.accounts.schemas import In, Json, Out
from backend.datasets.models import Kind
from backend.tasks.models import Order

MOST_OVERLAP = 20
MOST_SEED = 2**31 - 1
MOST_PEOPLE = 1000
QuestionKind = Literal["pair", "ranking", "thumb"]
TaskName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Guidelines = Annotated[str, StringConstraints(max_length=100_000)]
Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=10_000)]
Word = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Overlap = Annotated[int, Field(ge=1, le=MOST_OVERLAP, description="Labels wanted of each item.")]
GoldShare = Annotated[float, Field(ge=0, le=0.5, allow_inf_nan=False, description="Share of cards with known answers.")]
Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]
People = Annotated[
    list[uuid.UUID], Field(max_length=MOST_PEOPLE, description="Who may label; when empty, every member.")
]


class Aspect(In):
    """Something that each response is rated by, from `low` to `high`."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$"), Field(examples=["helpful"])]
    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
    low: Annotated[int, Field(ge=-100, le=100)] = 1
    high: Annotated[int, Field(ge=-100, le=100)] = 5

    @model_validator(mode="after")
    def _wide(self) -> "Aspect":
        if self.low >= self.high:
            raise ValueError("low must be smaller than high")
        return self


class Question(In):
    """What is asked about each item.

    A `pair` is answered by a strength: of `scale` preference -1, 0 or 1, of `scale` strength -3 to 3. A `ranking` puts
    the responses into groups, best first; a `thumb` says whether the one response is good. An edit of a response
    becomes a new item.
    """

    kind: QuestionKind = "pair"
    scale: Literal["preference", "strength"] = "strength"
    both_bad: bool = True
    aspects: Annotated[list[Aspect], Field(max_length=10)] = []
    rationale: Literal["off", "optional", "required"] = "optional"
    edits: bool = False

    @field_validator("aspects")
    @classmethod
    def _told_apart(cls, aspects: list[Aspect]) -> list[Aspect]:
        if len({aspect.name for aspect in aspects}) < len(aspects):
            raise ValueError("two aspects have the same name")
        return aspects

    @model_validator(mode="after")
    def _fits(self) -> "Question":
        if self.edits and self.kind == "thumb":
            raise ValueError("edits need two responses or more: an edited one stands beside the one that was edited")
        return self


class Assistance(In):
    """What helps who labels; all of it is off by default."""

    group_prompts: bool = Field(False, description="Items with the same prompt come one after the other.")
    suggest: bool = Field(False, description="Cards show what a machine would answer, marked as suggested.")


class TaskIn(In):
    dataset_id: uuid.UUID
    name: TaskName
    question: Question = Question()
    guidelines: Guidelines = Field("", description="Markdown.")
    overlap: Overlap = 1
    gold_share: GoldShare = 0.0
    order: Order = Order.sequential
    seed: Seed = Field(0, description="Of the random order.")
    deadline: AwareDatetime | None = None
    people: People = []
    assistance: Assistance | None = None

    @model_validator(mode="after")
    def _one_order(self) -> "TaskIn":
        if self.order is Order.uncertainty and self.assistance and self.assistance.group_prompts:
            raise ValueError("the most uncertain first and equal prompts together are two orders: choose one")
        return self


NULLABLE = {"deadline", "assistance"}


class TaskPatch(In):
    """Changes; what is not named stays. The question stays as it was asked: another one is another task."""

    name: TaskName | None = None
    guidelines: Guidelines | None = None
    overlap: Overlap | None = None
    gold_share: GoldShare | None = None
    order: Order | None = None
    deadline: AwareDatetime | None = None
    people: People | None = None
    assistance: Assistance | None = None

    @model_validator(mode="after")
    def _said(self) -> "TaskPatch":
        unsaid = [name for name in self.model_fields_set - NULLABLE if getattr(self, name) is None]
        if unsaid:
            raise ValueError(f"{', '.join(sorted(unsaid))} cannot be null; leave out what stays")
        return self


class GuidelinesIn(In):
    guidelines: Guidelines = Field(description="Markdown.")


class GuidelinesOut(Out):
    html: str = Field(description="Harmless, as pages insert it.")


class TaskProgress(Out):
    """How far a task is. Skips and labels that were taken back do not count; withdrawn items are none."""

    total: int
    done: int = Field(description="Items that have all the labels wanted.")
    labels: int = Field(description="Labels given of those wanted: surplus and labels of withdrawn items left out.")
    wanted: int = Field(description="Labels wanted of all items together.")
    by_you: int
    skipped: int = Field(description="Items that you skipped and that want labels.")
    left: int = Field(description="Items that you can still label.")


class TaskPersonOut(Out):
    id: uuid.UUID
    name: str


class TaskOut(Out):
    """A task; `people` is empty when every member may label."""

    id: uuid.UUID
    dataset_id: uuid.UUID
    dataset: str
    dataset_kind: Kind
    name: str
    question: Question
    guidelines: str
    guidelines_html: str
    overlap: int
    deadline: datetime | None
    standing: bool
    closed_at: datetime | None
    created_at: datetime
    assistance: Assistance | None
    progress: TaskProgress


class TaskDetail(TaskOut):
    """The same for those who made it: what annotators must not see."""

    gold_share: float
    order: Order
    seed: int
    people: list[TaskPersonOut]
    created_by: uuid.UUID | None


class GoldIn(In):
    value: Json = Field(description="In the order of the item, like a label of the task.")
    note: Note = ""


class GoldOut(Out):
    item_id: uuid.UUID
    position: int = Field(description="Of the item in its dataset, from 0.")
    dataset_id: uuid.UUID
    value: dict[str, Any]
    note: str
    created_by: uuid.UUID | None
    created_at: datetime
