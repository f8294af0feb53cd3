"""Tables of tasks, of who may label in them, of what each item and each person stands at, and of known answers."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Enum, ForeignKey, Index, Text, false, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.accounts.models import User
from backend.datasets.models import Item as _Item  # noqa: F401  (keys name items and datasets)
from backend.db import Base, ProjectRow


class Order(StrEnum):
    """In which order the items of a task are handed out."""

    sequential = "sequential"
    random = "random"
    uncertainty = "uncertainty"


class Task(ProjectRow, Base):
    """A question about the items of a dataset, put to people until each item has `overlap` labels.

    `standing` is the one that a dataset has when nobody made one; it also counts what people judged outside of tasks.
    `filled` is the position from which on items have no place in it yet.
    """

    __tablename__ = "tasks"
    __table_args__ = (
        Index("ix_tasks_project_id_id", "project_id", "id"),
        Index("uq_tasks_standing", "dataset_id", unique=True, postgresql_where=text("standing")),
    )
    dataset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    question: Mapped[dict[str, Any]]
    guidelines: Mapped[str] = mapped_column(Text, default="")
    overlap: Mapped[int] = mapped_column(default=1)
    gold_share: Mapped[float] = mapped_column(default=0.0)
    order: Mapped[Order] = mapped_column(
        Enum(Order, native_enum=False, length=16, create_constraint=False), default=Order.sequential
    )
    seed: Mapped[int] = mapped_column(default=0)
    deadline: Mapped[datetime | None]
    assistance: Mapped[dict[str, Any] | None]
    standing: Mapped[bool] = mapped_column(default=False, server_default=false())
    filled: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    closed_at: Mapped[datetime | None]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"))


class TaskPerson(Base):
    """That a person may label in a task; in one that nobody is named for, every member may."""

    __tablename__ = "task_people"
    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), primary_key=True, index=True)


class Place(Base):
    """What an item stands at in a task: where it comes in the order, and how many labels it has that count.

    `open` tells that it wants more, so that the next one is found without passing those that are done. Leases and
    labels of the item in the task are made under this row's lock. `wants` is how many labels are wanted where that is
    not the task's overlap: of an item that an edit made after the task, one where it was made, and none elsewhere.
    """

    __tablename__ = "places"
    __table_args__ = (
        Index("ix_places_open", "task_id", "rank", "item_id", postgresql_where=text("open")),
        Index("ix_places_gold", "task_id", postgresql_where=text("gold")),
        Index("ix_places_begun", "task_id", postgresql_where=text("open AND taken > 0")),
        Index("ix_places_wants", "task_id", postgresql_where=text("wants IS NOT NULL")),
    )
    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    item_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"), primary_key=True, index=True)
    rank: Mapped[float]
    taken: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    open: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    gold: Mapped[bool] = mapped_column(default=False, server_default=false())
    wants: Mapped[int | None]


class Share(Base):
    """Where a person stands in a task: the place of their last label, and before which place they have done all.

    `dealt` is how many cards they were handed.
    """

    __tablename__ = "shares"
    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), primary_key=True, index=True)
    at_rank: Mapped[float | None]
    at_item: Mapped[uuid.UUID | None]
    low_rank: Mapped[float | None]
    low_item: Mapped[uuid.UUID | None]
    dealt: Mapped[int] = mapped_column(default=0, server_default=text("0"))


class Gold(ProjectRow, Base):
    """The known answer to an item, in the item's order: labels are measured by it."""

    __tablename__ = "golds"
    dataset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), index=True)
    item_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"), unique=True)
    value: Mapped[dict[str, Any]]
    note: Mapped[str] = mapped_column(Text, default="")
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"))
