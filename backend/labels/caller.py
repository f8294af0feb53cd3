"""Who labels: the person, what they are in the project, and when their day began."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, NamedTuple

from fastapi import Depends, Header, Request
from sqlalchemy.orm import Session

from backend.accounts.models import Role, User
from backend.deps import COOKIE, SAFE, SessionDep, bearer, identify, locate, named_project, refuse_archived
from backend.projects import members

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
    began = midnight(x_utc_offset)
    found = member(session, request, began)
    if found is not None:
        return found
    identity = identify(session, request)
    place = locate(session, identity, request)
    return Caller(identity.user, place.role, place.project.id, began)


def midnight(ahead: int) -> datetime:
    """When the day began for people whose clock is so many minutes ahead of UTC."""
    offset = timedelta(minutes=ahead)
    local = datetime.now(UTC) + offset
    return local.replace(hour=0, minute=0, second=0, microsecond=0) - offset


def member(session: Session, request: Request, began: datetime) -> Caller | None:
    """Who changes something by the cookie of a browser, and where, in one statement; None for everybody of whom there
    is more to ask or to say."""
    cookie = request.cookies.get(COOKIE)
    if cookie is None or bearer(request) is not None or request.method in SAFE:
        return None
    found = members.by_cookie(session, cookie, named_project(request))
    if found is None:
        return None
    user, place = found
    refuse_archived(place)
    return Caller(user, place.role, place.project.id, began)


CallerDep = Annotated[Caller, Depends(calling)]
