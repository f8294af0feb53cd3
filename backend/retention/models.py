"""Table of the rules by which projects let go what they no longer need."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, Row


class RetentionRules(Row, Base):
    """What a project keeps. A null rule removes nothing; so does a project without a row.

    `last_checkpoints` is of each finished run, beside its best; `failed_days` is how long weights of runs that failed
    or were cancelled stay, `answers_days` answers of the arena and of unfinished evaluations, `exports_days` exports.
    `due_at` is when they are applied next.
    """

    __tablename__ = "retention_rules"
    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), unique=True, index=True
    )
    last_checkpoints: Mapped[int | None]
    failed_days: Mapped[int | None]
    answers_days: Mapped[int | None]
    exports_days: Mapped[int | None]
    set_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    set_at: Mapped[datetime]
    due_at: Mapped[datetime]
