"""Table of audit events. A trigger refuses to change or delete a row."""

import uuid
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, Row


class AuditEvent(Row, Base):
    """One thing that somebody did. `project_id` is null for what concerns the whole instance, `user_id` for what
    nobody signed in did. No foreign keys: the event outlives what it tells of."""

    __tablename__ = "audit_events"
    project_id: Mapped[uuid.UUID | None]
    user_id: Mapped[uuid.UUID | None]
    action: Mapped[str]
    noun: Mapped[str]
    noun_id: Mapped[uuid.UUID | None]
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    ip: Mapped[str | None]
    __table_args__ = (
        Index("ix_audit_events_project_id_id", "project_id", "id"),
        Index("ix_audit_events_user_id_id", "user_id", "id"),
        Index("ix_audit_events_project_id_action_id", "project_id", "action", "id"),
        Index("ix_audit_events_project_id_noun_id", "project_id", "noun", "id"),
    )
