"""Tables of suggestions, and of the work that makes them."""

import uuid
from typing import Any

from sqlalchemy import Double, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import NULLABLE_JSON, Base, ProjectRow
from backend.tasks.models import Task
from backend.work import Tried


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


class SuggestionJob(Tried, ProjectRow, Base):
    """Work that lets a judge suggest labels for a task; `done` and `total` count items.

    `judge` is who suggests, with every setting spelled out, `words` what annotators read of it. Items before the
    position `at` are dealt with. `left_out` counts those that nothing was suggested for, by the reason; `suggested` the
    others. `median` is that of all scores, where thumbs go by it. `attempts` counts workers that began it. `limits`
    caps what it may cost at endpoints, `spent` is what it has cost, `taken` counts verdicts that were there already.
    """

    __tablename__ = "suggestion_jobs"
    __table_args__ = (Index("ix_suggestion_jobs_task_id_id", "task_id", "id"),)
    task_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Task.id, ondelete="CASCADE"))
    judge: Mapped[dict[str, Any]]
    words: Mapped[str]
    at: Mapped[int] = mapped_column(default=0)
    suggested: Mapped[int] = mapped_column(default=0)
    left_out: Mapped[dict[str, Any]] = mapped_column(default=dict)
    median: Mapped[float | None] = mapped_column(Double)
    limits: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)
    spent: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)
    taken: Mapped[int] = mapped_column(default=0)
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))


class SuggestionScore(Base):
    """The score of a single response, kept until all of the job's are there and their median is known."""

    __tablename__ = "suggestion_scores"
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(SuggestionJob.id, ondelete="CASCADE"), primary_key=True)
    item_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"), primary_key=True, index=True)
    score: Mapped[float] = mapped_column(Double)


class SuggestionVerdict(ProjectRow, Base):
    """What a model that judges said of two responses of an item, as it saw them: nobody pays for it again.

    `key` is that of `backend.evaluations.known`; `probability` that the response shown first is better.
    """

    __tablename__ = "suggestion_verdicts"
    __table_args__ = (UniqueConstraint("project_id", "key"),)
    item_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"), index=True)
    key: Mapped[str]
    probability: Mapped[float | None] = mapped_column(Double)
    reason: Mapped[str | None]
    text: Mapped[str | None]
