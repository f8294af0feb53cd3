"""Tables of labels, which are only ever added to, and of the leases that hand items out."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Enum, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, ProjectRow, Row
from backend.tasks.models import Task


class LabelSource(StrEnum):
    """Where a label comes from."""

    person = "person"
    imported = "import"
    judge = "judge"
    vote = "vote"
    adjudication = "adjudication"


class Label(ProjectRow, Base):
    """One judgement of an item, in the item's own order; a change or an undo is a new row with the next version.

    `value` is `{"strength": s}` (-3 to 3, positive when `responses[0]` is better), `{"both_bad": true}`,
    `{"ranking": groups}` (of indices of responses, best first, ties in one group), `{"thumb": good}`,
    `{"skip": reason}` or `{"retracted": true}`. Imports and judges have no annotator. `dataset_id` is the item's, kept
    here so that the labels of a dataset are found without its items. `task_id` is the task that it answers, none for
    imports, judges and votes; `surplus` says that the task had all its labels of the item when this one came. `aspects`
    are ratings by name, one number for each response; `aided` is the suggestion that was shown; `digest` is of the
    request that made it. `tallies.note` is told of every new one.
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
        Index("ix_labels_task_id_id", "task_id", "id", postgresql_where=text("task_id IS NOT NULL")),
        Index("ix_labels_changed", "task_id", "id", postgresql_where=text("version > 1")),
        Index("ix_labels_surplus", "task_id", postgresql_where=text("surplus")),
        Index("ix_labels_skips", "annotator_id", "dataset_id", postgresql_where=text("value ? 'skip'")),
    )

    item_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"), index=True)
    dataset_id: Mapped[uuid.UUID]
    task_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(Task.id, ondelete="CASCADE"))
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
    surplus: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    aspects: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    aided: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    swapped: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    seconds: Mapped[float | None]
    rationale: Mapped[str | None] = mapped_column(Text)
    client_id: Mapped[uuid.UUID | None] = mapped_column(unique=True)
    digest: Mapped[str | None] = mapped_column(String(64))
    version: Mapped[int] = mapped_column(default=1, server_default=text("1"))


class Tally(Row, Base):
    """A change of what is counted of a dataset's labels; the counts are the sums, and nobody waits for anybody.

    `labels` of a source, every version; `labelled` items that somebody has judged, `by_people` that a person has,
    `by_person` that this annotator has. Skips and labels taken back judge nothing. Of a task: items `done`, which have
    all the labels that it wants; of the annotator's items those `given` a judgement, those `pending`, which want more
    of others, and the `skipped` ones among these. The sweep adds rows up.
    """

    __tablename__ = "tallies"

    dataset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), index=True)
    annotator_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    task_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(Task.id, ondelete="CASCADE"), index=True)
    source: Mapped[str] = mapped_column(String(16))
    labels: Mapped[int] = mapped_column(default=0)
    labelled: Mapped[int] = mapped_column(default=0)
    by_people: Mapped[int] = mapped_column(default=0)
    by_person: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    given: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    pending: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    skipped: Mapped[int] = mapped_column(default=0, server_default=text("0"))


class Lease(ProjectRow, Base):
    """An item handed to an annotator for a task until `expires_at`; handed to them again, it keeps token and number.

    `number` counts the cards that they were handed in the task; `suggestion` is what the card showed, in item order.
    """

    __tablename__ = "leases"
    __table_args__ = (
        UniqueConstraint("item_id", "task_id", "annotator_id", name="uq_leases_item_id_task_id_annotator_id"),
        Index("ix_leases_annotator_id_expires_at", "annotator_id", "expires_at"),
    )

    item_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"))
    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Task.id, ondelete="CASCADE"), index=True)
    annotator_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    token: Mapped[uuid.UUID] = mapped_column(unique=True, server_default=text("gen_random_uuid()"))
    number: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    suggestion: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    expires_at: Mapped[datetime]
