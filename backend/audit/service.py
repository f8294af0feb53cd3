"""Writing the audit log."""

import uuid
from typing import Any

from sqlalchemy.orm import Session

from backend.accounts.models import User
from backend.audit.models import AuditEvent


def record(
    session: Session,
    user: User | None,
    project_id: uuid.UUID | None,
    action: str,
    noun: str,
    noun_id: uuid.UUID | None = None,
    detail: dict[str, Any] | None = None,
    *,
    ip: str | None = None,
) -> None:
    """Note what `user` (None: nobody signed in) does, in the transaction that does it: if that fails, so does this.

    `action` is a verb ("export", "delete", "invite"), `project_id` is None for what concerns the whole instance.
    `detail` holds names, numbers and ids; never a secret, a password or what people wrote.
    """
    session.add(
        AuditEvent(
            project_id=project_id,
            user_id=user.id if user else None,
            action=action,
            noun=noun,
            noun_id=noun_id,
            detail=detail or {},
            ip=ip,
        )
    )
