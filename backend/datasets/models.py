"""Tables of datasets: uploaded files, imports, items and frozen snapshots."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    Enum,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    Uuid,
    cast,
    column,
    false,
    func,
    select,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, column_property, mapped_column

from alignment.formats.policy_words import in_words
from alignment.formats.preference import Policy
from backend.accounts.models import User
from backend.db import Base, ProjectRow
from backend.projects import models as _projects  # noqa: F401  (a worker loads these tables only, and keys name projects)
from backend.work import State, Work


class Kind(StrEnum):
    """What the items of a dataset are, by their responses: none, one, one with a thumb, two, or several in an order."""

    prompts = "prompts"
    demonstrations = "demonstrations"
    unpaired = "unpaired"
    paired = "paired"
    ranked = "ranked"


class Dataset(ProjectRow, Base):
    """A named collection of items; `splits` is how many each split has, kept by whoever adds some.

    `made_from` says by which rule it was made of which other dataset (`schemas.MadeFrom`).
    """

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("project_id", "name"), Index("ix_datasets_project_id_id", "project_id", "id"))
    name: Mapped[str]
    kind: Mapped[Kind] = mapped_column(Enum(Kind, native_enum=False, length=16, create_constraint=False))
    description: Mapped[str] = mapped_column(default="")
    toy: Mapped[bool] = mapped_column(default=False)
    splits: Mapped[dict[str, int]] = mapped_column(JSONB, default=dict)
    made_from: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"))


class Upload(ProjectRow, Base):
    """Data to import: a file that somebody sent, which lies at `path` under the uploads folder; or, by its `origin`,
    files of the server or of a hub.  `sha256` is of the content, or of what names it.  A file goes when it is imported.
    """

    __tablename__ = "uploads"
    __table_args__ = (Index("ix_uploads_project_id_sha256", "project_id", "sha256"),)
    filename: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    path: Mapped[str]
    origin: Mapped[dict[str, Any]] = mapped_column(default=lambda: {"kind": "file"})
    removed_at: Mapped[datetime | None]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"))


class Import(Work, ProjectRow, Base):
    """The reading of an upload into a new dataset; `dataset_id` is set in the transaction that makes it visible."""

    __tablename__ = "imports"
    __table_args__ = (Index("ix_imports_project_id_id", "project_id", "id"),)
    upload_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), index=True)
    dataset_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    format: Mapped[str]
    columns: Mapped[dict[str, Any] | None]
    survey: Mapped[dict[str, Any] | None]
    abort_on_bad_row: Mapped[bool] = mapped_column(default=False)
    rows_good: Mapped[int] = mapped_column(default=0)
    rows_bad: Mapped[int] = mapped_column(default=0)
    rows_doubled: Mapped[int] = mapped_column(default=0)
    errors: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    warnings: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    bytes_total: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_read: Mapped[int] = mapped_column(BigInteger, default=0)
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"))

    TOLD: ClassVar[Mapping[State, str]] = {State.succeeded: "dataset.imported"}

    def story(self) -> dict[str, Any]:
        return {"dataset_id": str(self.dataset_id), "name": self.name, "rows": self.rows_good}


class Item(ProjectRow, Base):
    """A prompt and its responses; never changed. `prompt_hash` decides the split, `content_hash` what is a double.

    `judged` tells that a person has judged it. A withdrawn one is labelled, frozen and exported no more.
    """

    __tablename__ = "items"
    __table_args__ = (
        UniqueConstraint("dataset_id", "content_hash"),
        Index("ix_items_dataset_id_position", "dataset_id", "position", unique=True),
        Index("ix_items_open", "dataset_id", "position", postgresql_where=text("NOT judged")),
        Index("ix_items_dataset_id_prompt_hash", "dataset_id", "prompt_hash"),
        Index("ix_items_withdrawn", "dataset_id", postgresql_where=text("withdrawn_at IS NOT NULL")),
    )
    dataset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))
    position: Mapped[int]
    split: Mapped[str] = mapped_column(String(16))
    prompt: Mapped[list[dict[str, Any]]]
    prompt_hash: Mapped[str] = mapped_column(String(64))
    content_hash: Mapped[str] = mapped_column(String(64))
    responses: Mapped[list[dict[str, Any]]]
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    judged: Mapped[bool] = mapped_column(default=False, server_default=false())
    withdrawn_at: Mapped[datetime | None]


_TASKS = table("tasks", column("id", Uuid), column("name", String))  # its own module knows this one


class Snapshot(ProjectRow, Base):
    """A frozen copy of what a policy makes of a dataset, in the folder `path` (named by `hash`); policies that make the
    same of it share the folder. `bytes` is null until it is measured; `task` is the name that the policy's task has."""

    __tablename__ = "snapshots"
    __table_args__ = (
        UniqueConstraint("dataset_id", "hash", "policy"),
        Index("ix_snapshots_project_id_id", "project_id", "id"),
    )
    dataset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))
    hash: Mapped[str] = mapped_column(String(64), index=True)
    kind: Mapped[Kind] = mapped_column(Enum(Kind, native_enum=False, length=16, create_constraint=False))
    policy: Mapped[dict[str, Any]] = mapped_column(JSONB)
    label_watermark: Mapped[uuid.UUID | None]
    counts: Mapped[dict[str, Any]]
    path: Mapped[str]
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    task: Mapped[str | None] = column_property(
        select(_TASKS.c.name)
        .where(_TASKS.c.id == cast(func.jsonb_extract_path_text(policy, "task"), Uuid))
        .correlate_except(_TASKS)
        .scalar_subquery()
    )

    @property
    def policy_words(self) -> str:
        """The policy as a sentence."""
        return in_words(Policy(**self.policy), self.kind, self.task)


class SnapshotLabel(Base):
    """A label that decided an example of a snapshot. No key ties the two tables: a label goes when its person's data is
    removed, and the snapshot stays what it was."""

    __tablename__ = "snapshot_labels"
    snapshot_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("snapshots.id", ondelete="CASCADE"), primary_key=True)
    label_id: Mapped[uuid.UUID] = mapped_column(primary_key=True, index=True)
