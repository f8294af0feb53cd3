"""Tables of exports and of their uploads to a hub."""

import uuid
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Enum, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from backend.checkpoints.models import Checkpoint
from backend.db import Base, ProjectRow
from backend.work import Work


class ExportKind(StrEnum):
    """What is written: whole weights, or the adapter alone."""

    merged = "merged"
    adapter = "adapter"


class Dtype(StrEnum):
    """In which numbers: those that training worked in, or half as many bytes."""

    as_trained = "as_trained"
    bf16 = "bf16"


class Export(Work, ProjectRow, Base):
    """A checkpoint written for others into a folder named by the id; `done` and `total` count bytes.

    `base` is the name by which an adapter's base can be had, `rank` the adapter's; `step` is what is being done;
    `files` is `[{name, size, sha256}]`; `comparison` is how the written weights differ from the checkpoint's.
    """

    __tablename__ = "exports"
    __table_args__ = (Index("ix_exports_project_id_id", "project_id", "id"),)
    done: Mapped[int] = mapped_column(BigInteger, default=0)
    total: Mapped[int] = mapped_column(BigInteger, default=0)
    checkpoint_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Checkpoint.id, ondelete="CASCADE"), index=True)
    name: Mapped[str]
    kind: Mapped[ExportKind] = mapped_column(Enum(ExportKind, native_enum=False, length=16, create_constraint=False))
    dtype: Mapped[Dtype] = mapped_column(Enum(Dtype, native_enum=False, length=16, create_constraint=False))
    base: Mapped[str | None]
    rank: Mapped[int | None]
    step: Mapped[str | None]
    written_dtype: Mapped[str | None]
    bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    files: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    comparison: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))


class Push(Work, ProjectRow, Base):
    """An upload of an export to a hub; `done` and `total` count bytes. It stays when the export is deleted."""

    __tablename__ = "pushes"
    __table_args__ = (Index("ix_pushes_project_id_id", "project_id", "id"),)
    done: Mapped[int] = mapped_column(BigInteger, default=0)
    total: Mapped[int] = mapped_column(BigInteger, default=0)
    checkpoint_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Checkpoint.id, ondelete="CASCADE"), index=True)
    export_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(Export.id, ondelete="SET NULL"), index=True)
    repo_id: Mapped[str]
    private: Mapped[bool]
    secret: Mapped[str]
    commit: Mapped[str | None]
    url: Mapped[str | None]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
