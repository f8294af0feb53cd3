"""Table of work that measures a judge on labelled pairs."""

import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from backend.datasets.models import Dataset
from backend.db import NULLABLE_JSON, Base, ProjectRow
from backend.work import Work


class Accuracy(Work, ProjectRow, Base):
    """A judge on the labelled pairs of a dataset, each in both side orders.

    `done` and `total` count verdicts. `said` are those that there are, by voice (a panel's members have their own):
    `[item, swapped, probability that the chosen response wins, reason]`; `result` is what they amount to
    (`AccuracyFound`), null until all are there. `limits` caps what it may cost at endpoints, `spent` is what it has
    cost.
    """

    __tablename__ = "accuracies"
    __table_args__ = (Index("ix_accuracies_dataset_id_id", "dataset_id", "id"),)
    dataset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Dataset.id, ondelete="CASCADE"))
    judge: Mapped[dict[str, Any]]
    pairs: Mapped[dict[str, Any]]
    said: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    result: Mapped[dict[str, Any] | None]
    limits: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)
    spent: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
