"""Table of work that estimates how far annotators can be trusted."""

import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from backend.datasets.models import Dataset
from backend.db import Base, ProjectRow
from backend.tasks.models import Task
from backend.work import Work


class Reliability(Work, ProjectRow, Base):
    """Dawid-Skene and Crowd-BT over the labels of a task, or of a whole dataset where `task_id` is null.

    `done` and `total` count hundredths of each model; `result` is what they found (`ReliabilitiesOut`), or null.
    """

    __tablename__ = "reliabilities"
    __table_args__ = (Index("ix_reliabilities_dataset_id_id", "dataset_id", "id"),)
    dataset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Dataset.id, ondelete="CASCADE"))
    task_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(Task.id, ondelete="CASCADE"), index=True)
    result: Mapped[dict[str, Any] | None]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
