"""What goes in and out of the dataset routes."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from alignment.formats.preference import Policy
from backend.accounts.schemas import In, Out
from backend.datasets.models import Kind
from backend.work import State

Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120, pattern=r"^[^\x00-\x1f]+$")
]
FormatName = Literal["native", "pairs", "trl", "hh"]
ExportFormat = Literal["native", "trl", "parquet"]


class UploadOut(Out):
    id: uuid.UUID
    filename: str
    size: int
    sha256: str
    created_at: datetime


class PreviewIn(In):
    format: FormatName | None = Field(None, description="Read as this format instead of the detected one.")


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


class FormatOut(BaseModel):
    name: FormatName
    title: str
    losses: list[str]


class PreviewOut(BaseModel):
    """How a file will be read: the format in use, the one detected, its columns, first rows and first problems."""

    format: FormatName | None
    detected: FormatName | None
    description: str
    container: str
    columns: list[str]
    rows: list[PreviewRow]
    problems: list[Problem]
    rows_looked_at: int
    formats: list[FormatOut]


class ImportIn(In):
    upload_id: uuid.UUID
    name: Name
    format: FormatName | None = Field(None, description="Null: the format that is detected.")
    abort_on_bad_row: bool = Field(False, description="True: one bad row, and nothing is kept.")


class ImportOut(Out):
    id: uuid.UUID
    created_at: datetime
    upload_id: uuid.UUID
    filename: str = ""
    dataset_id: uuid.UUID | None
    name: str
    format: str
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


class DatasetDetail(DatasetOut):
    """One dataset with what is in it; lengths are of a sample of `length_sample` items."""

    labels: int
    splits: dict[str, int]
    sources: dict[str, int]
    lengths: list[BarOut]
    length_sample: int


class ItemOut(Out):
    id: uuid.UUID
    position: int
    split: str
    prompt: list[dict[str, Any]]
    responses: list[dict[str, Any]]
    facts: dict[str, Any]
    labels: list[dict[str, Any]] = []


class SnapshotIn(In):
    policy: Policy = Policy()


class SnapshotOut(Out):
    id: uuid.UUID
    created_at: datetime
    dataset_id: uuid.UUID
    dataset_name: str = ""
    hash: str
    kind: Kind
    policy: dict[str, Any]
    counts: dict[str, Any]


class SnapshotLabelOut(Out):
    id: uuid.UUID
    item_id: uuid.UUID
    source: str
    value: dict[str, Any]
    annotator_id: uuid.UUID | None
    created_at: datetime
