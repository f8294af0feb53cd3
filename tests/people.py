"""People for tests, without a password: none is checked when a session is opened for them."""

import uuid
from functools import lru_cache

from sqlalchemy.orm import Session

from backend.accounts import service as accounts
from backend.accounts.models import Role, User
from backend.projects import service as projects
from backend.projects.models import Membership, Project


@lru_cache
def _hash_of_nothing() -> str:
    return accounts.hasher().hash(uuid.uuid4().hex)


def add_person(session: Session, role: Role, name: str | None = None, project: Project | None = None) -> User:
    """An admin of the instance, or a member of a project, the default one unless named."""
    name = name or f"{role}-{uuid.uuid4().hex[:8]}"
    user = User(name=name, admin=role is Role.admin, password_hash=_hash_of_nothing(), active=True)
    session.add(user)
    session.flush()
    if role is not Role.admin:
        own = project or projects.default(session)
        session.add(Membership(project_id=own.id, user_id=user.id, role=role))
        session.flush()
    return user
