"""What goes in and out of the dataset routes."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, WithJsonSchema

from alignment.formats import FORMATS, Columns, Survey
from alignment.formats.conversions import AnyConversion
from alignment.formats.label_studio import MAX_CONFIG
from alignment.formats.preference import Policy
from backend.accounts.schemas import In, Out
from backend.datasets.models import Kind
from backend.work import State

Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120, pattern=r"^[^\x00-\x1f]+$")
]


def _known(name: str) -> str:
    if name not in FORMATS:
        raise ValueError(f"must be one of {', '.join(FORMATS)}")
    return name


FormatName = Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": [*FORMATS]})]


class FromFile(BaseModel):
    """A file that somebody sent."""

    kind: Literal["file"] = "file"


class FromServer(BaseModel):
    """A file or a folder of files in an allowed folder of the server, read where it lies."""

    kind: Literal["server"] = "server"
    path: str


class FromHub(BaseModel):
    """A split of a dataset of a hub at one commit, fetched when it is imported."""

    kind: Literal["hub"] = "hub"
    hub_id: str
    commit: str
    config: str
    split: str
    secret: str | None = None


Origin = Annotated[FromFile | FromServer | FromHub, Field(discriminator="kind")]


class ImportedBefore(Out):
    """An import of the same data."""

    id: uuid.UUID
    name: str
    state: State
    dataset_id: uuid.UUID | None
    created_at: datetime


class UploadOut(Out):
    id: uuid.UUID
    filename: str
    size: int
    sha256: str
    created_at: datetime
    origin: Origin
    imported: list[ImportedBefore] = Field([], description="Imports of the same file that are there or under way.")


class PreviewIn(In):
    format: FormatName | None = Field(None, description="Read as this format instead of the detected one.")
    columns: Columns | None = Field(None, description="Which column is what; read by this mapping.")
    survey: Survey | None = Field(None, description="Of a labelling tool's export: which question decides, and so on.")
    config: str | None = Field(
        None, max_length=MAX_CONFIG, description="Labeling config of Label Studio, to guess from."
    )


class Problem(Out):
    """A row that was left out."""

    line: int
    field: str
    reason: str
    excerpt: str = ""


class PreviewRow(BaseModel):
    line: int
    prompt: list[dict[str, Any]]
    responses: list[dict[str, Any]]
    labels: list[dict[str, Any]]
    facts: dict[str, Any]


class StyleOut(BaseModel):
    """A way of writing a format, and what is lost by it."""

    name: str
    losses: list[str]


class FormatOut(BaseModel):
    """A format that rows are read from and written in; `kinds` are those that it has rows for.  Where it is `decided`,
    labels become a choice; else rows hold the labels themselves."""

    name: str
    title: str
    kinds: list[Kind]
    decided: bool
    styles: list[StyleOut]
    notes: list[str]
    example: str


class QuestionOut(BaseModel):
    """A question of a labelling project: its kind, some answers, and how many were seen."""

    name: str
    kind: str
    answers: list[str]
    seen: int


class PartsOut(BaseModel):
    """What the first records of a labelling tool's export hold."""

    fields: list[str]
    questions: list[QuestionOut]
    annotators: list[str]


class PreviewOut(BaseModel):
    """How a file will be read: the format in use, the one detected, its columns, first rows and first problems."""

    format: FormatName | None
    detected: FormatName | None
    candidates: list[FormatName] = Field([], description="The formats that it could be, when one cannot be told.")
    description: str
    container: str
    delimiter: str | None = Field(None, description="What parts the cells of a table.")
    encoding: str | None = Field(None, description="Of a table or of lines.")
    kind: Kind | None = Field(None, description="What the rows hold.")
    columns: list[str]
    mapping: Columns | None = Field(None, description="The mapping in use, or the one that the columns' names suggest.")
    survey: Survey | None = Field(None, description="The survey in use; null where it must be said.")
    parts: PartsOut | None = Field(None, description="Of a labelling tool's export: what a survey can name.")
    rows: list[PreviewRow]
    problems: list[Problem]
    rows_looked_at: int
    formats: list[FormatOut]


class ImportIn(In):
    upload_id: uuid.UUID
    name: Name
    format: FormatName | None = Field(None, description="Null: the format that is detected.")
    columns: Columns | None = Field(None, description="Which column is what, for CSV and columns that no format knows.")
    survey: Survey | None = Field(None, description="How a labelling tool's export is read; null: as it is guessed.")
    again: bool = Field(False, description="Import also what has been imported before.")
    abort_on_bad_row: bool = Field(False, description="True: one bad row, and nothing is kept.")


class ImportOut(Out):
    id: uuid.UUID
    created_at: datetime
    upload_id: uuid.UUID
    filename: str = ""
    dataset_id: uuid.UUID | None
    name: str
    format: str
    columns: dict[str, Any] | None
    survey: dict[str, Any] | None
    abort_on_bad_row: bool
    state: State
    reason: str | None
    remedy: str | None
    stop_requested: bool
    rows_good: int
    rows_bad: int
    rows_doubled: int
    bytes_total: int
    bytes_read: int
    started_at: datetime | None
    finished_at: datetime | None


class ImportDetail(ImportOut):
    """One import with its bad rows (the first thousand) and warnings."""

    errors: list[Problem]
    warnings: list[dict[str, Any]]


class DatasetBrief(Out):
    """What annotators see of a dataset."""

    id: uuid.UUID
    name: str
    kind: Kind
    items: int
    labelled: int


class DatasetOut(DatasetBrief):
    description: str
    toy: bool
    created_at: datetime
    last_used_at: datetime | None


class BarOut(Out):
    """One bar of a histogram: how many responses have from `low` to below `high` characters."""

    low: int
    high: int
    responses: int


class MadeFrom(BaseModel):
    """The dataset that another one was made of, as it was called then, by which rule, and what was left out."""

    dataset_id: uuid.UUID
    name: str
    kind: Kind
    rule: dict[str, Any]
    title: str
    left_out: dict[str, int]
    doubled: int
    contradicting: int = 0


class DatasetDetail(DatasetOut):
    """One dataset with what is in it; lengths are of a sample of `length_sample` items."""

    labels: int
    splits: dict[str, int]
    sources: dict[str, int]
    lengths: list[BarOut]
    length_sample: int
    made_from: MadeFrom | None = None


class ItemOut(Out):
    id: uuid.UUID
    position: int
    split: str
    prompt: list[dict[str, Any]]
    responses: list[dict[str, Any]]
    facts: dict[str, Any]
    labels: list[dict[str, Any]] = []
    withdrawn_at: datetime | None = None


class LossesOut(BaseModel):
    """What an export would lose, counted over the items looked at, and said in sentences."""

    format: str
    style: str
    kind: Kind = Field(description="What the rows would hold.")
    change: str | None = Field(description="What becomes of the items where that is another kind than the dataset's.")
    items: int
    looked_at: int
    rows: int
    left_out: dict[str, int]
    dropped: dict[str, int]
    sentences: list[str]


class ConversionOut(BaseModel):
    """What can be made of a dataset's items: the kind, what becomes of an item, and the rule to be stated."""

    name: str
    title: str
    does: str
    to: Kind
    form: dict[str, Any] = Field(description="JSON schema of the rule.")


class DatasetConvertPreviewIn(In):
    """The rule by which items of another kind would be made."""

    rule: AnyConversion


class DatasetConvertIn(DatasetConvertPreviewIn):
    """Items of another kind, made by a rule, as a dataset of their own."""

    name: Name


class ConvertPreviewOut(BaseModel):
    """What the rule would make: its first rows, and what it leaves out, counted over the items looked at."""

    to: Kind
    items: int
    looked_at: int
    made: int
    left_out: dict[str, int]
    doubled: int
    contradicting: int = Field(description="How many say something else of the same content; all of them are left out.")
    more: bool = Field(description="Whether more would be made than is made at once; then only these were counted.")
    sentences: list[str]
    rows: list[PreviewRow]


class ConvertedOut(Out):
    dataset_id: uuid.UUID
    items: int
    left_out: dict[str, int]
    doubled: int
    contradicting: int


class SnapshotIn(In):
    policy: Policy = Policy()


class PolicyChoice(Out):
    """The same policy with one other choice."""

    name: str
    title: str
    change: dict[str, Any] = Field(description="What of the policy is another.")
    examples: int
    left_out: dict[str, int]


class PolicyPreviewOut(Out):
    items: int
    looked_at: int
    examples: dict[str, int] = Field(description="How many examples there would be, by split.")
    left_out: dict[str, int]
    sentences: list[str]
    choices: list[PolicyChoice]


class SnapshotOut(Out):
    id: uuid.UUID
    created_at: datetime
    dataset_id: uuid.UUID
    dataset_name: str = ""
    hash: str
    kind: Kind
    policy: dict[str, Any]
    policy_words: str = Field("", description="The policy as a sentence.")
    counts: dict[str, Any]


class SnapshotLabelOut(Out):
    id: uuid.UUID
    item_id: uuid.UUID
    source: str
    value: dict[str, Any]
    annotator_id: uuid.UUID | None
    created_at: datetime
