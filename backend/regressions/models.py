"""Table of checks for regressions."""

import uuid
from typing import Any

from sqlalchemy import Double, ForeignKey, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, ProjectRow


class Regression(ProjectRow, Base):
    """A checkpoint of a run against what it must not be worse than, as an evaluation does it (the base is its first
    contestant). `result` is what that amounts to (`RegressionFound`) and `mark` what is said of the run, both null
    until the evaluation has succeeded.
    """

    __tablename__ = "regressions"
    __table_args__ = (Index("ix_regressions_run_id_id", "run_id", "id"),)
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    evaluation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("evaluations.id", ondelete="CASCADE"), unique=True)
    margin: Mapped[float] = mapped_column(Double)
    level: Mapped[float] = mapped_column(Double)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    mark: Mapped[str | None]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
