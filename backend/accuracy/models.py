"""Tables of work that measures a judge on labelled pairs, and of what the judge said."""

import uuid
from typing import Any

from sqlalchemy import Double, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from backend.datasets.models import Dataset
from backend.db import NULLABLE_JSON, Base, ProjectRow
from backend.work import Work


class Accuracy(Work, ProjectRow, Base):
    """A judge on the labelled pairs of a dataset, each in both side orders.

    `done` and `total` count verdicts. `result` is what they amount to (`AccuracyFound`), null until all are there.
    `limits` caps what it may cost at endpoints, `spent` is what it has cost.
    """

    __tablename__ = "accuracies"
    __table_args__ = (Index("ix_accuracies_dataset_id_id", "dataset_id", "id"),)
    dataset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Dataset.id, ondelete="CASCADE"))
    judge: Mapped[dict[str, Any]]
    pairs: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any] | None]
    limits: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)
    spent: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))


class AccuracyVerdict(Base):
    """What one voice said of a pair in one side order, so that nobody is asked twice; a panel's members have their own.

    `probability` is that the item's first response wins, whichever people prefer, since labels may change before all is
    decided; null with a reason. `swapped`: it was shown second. Verdicts are only ever added.
    """

    __tablename__ = "accuracy_verdicts"
    accuracy_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Accuracy.id, ondelete="CASCADE"), primary_key=True)
    voice: Mapped[str] = mapped_column(primary_key=True)
    item_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    swapped: Mapped[bool] = mapped_column(primary_key=True)
    probability: Mapped[float | None] = mapped_column(Double)
    reason: Mapped[str | None]
