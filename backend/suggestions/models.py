"""The table of suggestions."""

import uuid
from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, ProjectRow


class Suggestion(ProjectRow, Base):
    """What a machine would say of an item of a task: `value` in the item's order, `by` what said it.

    `margin` is how far the responses are apart in its eyes, 0 where it cannot tell: the smallest come first where a
    task's order is by uncertainty.
    """

    __tablename__ = "suggestions"
    __table_args__ = (UniqueConstraint("task_id", "item_id"),)
    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    item_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"), index=True)
    by: Mapped[dict[str, Any]]
    value: Mapped[dict[str, Any]]
    margin: Mapped[float]
