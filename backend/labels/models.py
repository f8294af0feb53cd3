"""Tables of labels, which are only ever added to, and of the leases that hand items out."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Enum, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, ProjectRow


class LabelSource(StrEnum):
    """Where a label comes from."""

    person = "person"
    imported = "import"
    judge = "judge"
    vote = "vote"


class Label(ProjectRow, Base):
    """One judgement of an item, in the item's own order; a change or an undo is a new row with the next version.

    `value` is `{"strength": s}` (-3 to 3, positive when `responses[0]` is better), `{"both_bad": true}`,
    `{"skip": reason}` or `{"retracted": true}`. Imports and judges have no annotator.
    """

    __tablename__ = "labels"
    __table_args__ = (
        UniqueConstraint("item_id", "annotator_id", "version"),
        Index("ix_labels_annotator_id_created_at", "annotator_id", "created_at"),
    )

    item_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"), index=True)
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


class Lease(ProjectRow, Base):
    """An item handed to an annotator until `expires_at`; the token stays the same when it is handed to them again."""

    __tablename__ = "leases"
    __table_args__ = (UniqueConstraint("item_id", "annotator_id"),)

    item_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"))
    annotator_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    token: Mapped[uuid.UUID] = mapped_column(unique=True, server_default=text("gen_random_uuid()"))
    expires_at: Mapped[datetime]
