"""What goes out of the routes of the audit log."""

import uuid
from datetime import datetime
from typing import Any

from backend.accounts.schemas import Out


class AuditOut(Out):
    """One thing that somebody did. `project` and `user` are names as they are now."""

    id: uuid.UUID
    created_at: datetime
    project_id: uuid.UUID | None
    project: str | None = None
    user_id: uuid.UUID | None
    user: str | None = None
    action: str
    noun: str
    noun_id: uuid.UUID | None
    detail: dict[str, Any]
    ip: str | None


class ActionsOut(Out):
    """What there is to filter by."""

    actions: list[str]
    nouns: list[str]
