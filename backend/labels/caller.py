"""Who labels: the person, what they are in the project, and when their day began."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, NamedTuple

from fastapi import Depends, Header

from backend.accounts.models import Role, User
from backend.deps import CurrentUser, PlaceDep

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


async def calling(
    user: CurrentUser,
    place: PlaceDep,
    x_utc_offset: Annotated[
        int, Header(ge=-DAY_MINUTES, le=DAY_MINUTES, description="Minutes that the person's clock is ahead of UTC.")
    ] = 0,
) -> Caller:
    """Who labels; their day begins at midnight of their own clock."""
    ahead = timedelta(minutes=x_utc_offset)
    local = datetime.now(UTC) + ahead
    return Caller(user, place.role, place.project.id, local.replace(hour=0, minute=0, second=0, microsecond=0) - ahead)


CallerDep = Annotated[Caller, Depends(calling)]
