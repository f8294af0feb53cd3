"""Who labels: the person, what they are in the project, and when their day began."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, NamedTuple

from fastapi import Depends, Header, Request

from backend.accounts.models import Role, User
from backend.deps import SessionDep, identify, locate

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
    identity = identify(session, request)
    place = locate(session, identity, request)
    ahead = timedelta(minutes=x_utc_offset)
    local = datetime.now(UTC) + ahead
    return Caller(
        identity.user, place.role, place.project.id, local.replace(hour=0, minute=0, second=0, microsecond=0) - ahead
    )


CallerDep = Annotated[Caller, Depends(calling)]
