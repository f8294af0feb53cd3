"""Who labels: the person, what they are in the project, and when their day began."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, NamedTuple

from fastapi import Depends, Header, Request
from sqlalchemy.orm import Session

from backend.accounts.models import Role, User
from backend.deps import COOKIE, SAFE, SessionDep, bearer, identify, locate, named_project, refuse_archived
from backend.projects import members
from backend.projects.members import Place

DAY_MINUTES = 24 * 60


class Caller(NamedTuple):
    """Who labels, as what and in which project, and when their day began."""

    user: User
    role: Role
    project_id: uuid.UUID
    midnight: datetime

    @property
    def researches(self) -> bool:
        """Whether they may see what annotators must not."""
        return self.role.includes(Role.researcher)


def calling(
    session: SessionDep,
    request: Request,
    x_utc_offset: Annotated[
        int, Header(ge=-DAY_MINUTES, le=DAY_MINUTES, description="Minutes that the person's clock is ahead of UTC.")
    ] = 0,
) -> Caller:
    """Who labels; their day begins at midnight of their own clock.

    Person and project are found in one go, not as two dependencies: each of these takes a thread of its own, and people
    who label wait for it.
    """
    ahead = timedelta(minutes=x_utc_offset)
    local = datetime.now(UTC) + ahead
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0) - ahead
    found = _member(session, request)
    if found is not None:
        user, place = found
    else:
        identity = identify(session, request)
        user, place = identity.user, locate(session, identity, request)
    return Caller(user, place.role, place.project.id, midnight)


def _member(session: Session, request: Request) -> tuple[User, Place] | None:
    """Who changes something by the cookie of a browser, and where, in one statement; None for everybody of whom there
    is more to ask or to say."""
    cookie = request.cookies.get(COOKIE)
    if cookie is None or bearer(request) is not None or request.method in SAFE:
        return None
    found = members.by_cookie(session, cookie, named_project(request))
    if found is not None:
        refuse_archived(found[1])
    return found


CallerDep = Annotated[Caller, Depends(calling)]
