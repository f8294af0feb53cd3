"""Tables of labels, which are only ever added to, and of the leases that hand items out."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Enum, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, ProjectRow, Row


class LabelSource(StrEnum):
    """Where a label comes from."""

    person = "person"
    imported = "import"
    judge = "judge"
    vote = "vote"


class Label(ProjectRow, Base):
    """One judgement of an item, in the item's own order; a change or an undo is a new row with the next version.

    `value` is `{"strength": s}` (-3 to 3, positive when `responses[0]` is better), `{"both_bad": true}`,
    `{"skip": reason}` or `{"retracted": true}`. Imports and judges have no annotator. `dataset_id` is the item's, kept
    here so that the labels of a dataset are found without its items. `tallies.note` is told of every new one.
    """

    __tablename__ = "labels"
    __table_args__ = (
        UniqueConstraint("item_id", "annotator_id", "version"),
        Index("ix_labels_annotator_id_created_at", "annotator_id", "created_at"),
        Index("ix_labels_dataset_id_id", "dataset_id", "id"),
        Index(
            "ix_labels_annotator_id_dataset_id_id",
            "annotator_id",
            "dataset_id",
            "id",
            postgresql_where=text("annotator_id IS NOT NULL"),
        ),
        Index("ix_labels_skips", "annotator_id", "dataset_id", postgresql_where=text("value ? 'skip'")),
    )

    item_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"), index=True)
    dataset_id: Mapped[uuid.UUID]
    annotator_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    source: Mapped[LabelSource] = mapped_column(
        Enum(
            LabelSource,
            native_enum=False,
            length=16,
            create_constraint=False,
            values_callable=lambda kinds: [kind.value for kind in kinds],
        )
    )
    kind: Mapped[str] = mapped_column(default="pair", server_default="pair")
    value: Mapped[dict[str, Any]]
    swapped: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    seconds: Mapped[float | None]
    rationale: Mapped[str | None] = mapped_column(Text)
    client_id: Mapped[uuid.UUID | None] = mapped_column(unique=True)
    version: Mapped[int] = mapped_column(default=1, server_default=text("1"))


class Tally(Row, Base):
    """A change of what is counted of a dataset's labels; the counts are the sums, and nobody waits for anybody.

    `labels` of a source, every version; `labelled` items that somebody has judged, `by_people` that a person has,
    `by_person` that this annotator has. Skips and labels taken back judge nothing. The sweep adds rows up.
    """

    __tablename__ = "tallies"

    dataset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), index=True)
    annotator_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    source: Mapped[str] = mapped_column(String(16))
    labels: Mapped[int] = mapped_column(default=0)
    labelled: Mapped[int] = mapped_column(default=0)
    by_people: Mapped[int] = mapped_column(default=0)
    by_person: Mapped[int] = mapped_column(default=0)


class Lease(ProjectRow, Base):
    """An item handed to an annotator until `expires_at`; the token stays the same when it is handed to them again."""

    __tablename__ = "leases"
    __table_args__ = (UniqueConstraint("item_id", "annotator_id"),)

    item_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"))
    annotator_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    token: Mapped[uuid.UUID] = mapped_column(unique=True, server_default=text("gen_random_uuid()"))
    expires_at: Mapped[datetime]
