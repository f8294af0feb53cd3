"""What goes in and out of the routes of identities."""

import uuid
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, StringConstraints

from backend.accounts.schemas import In, Out


class WayOut(BaseModel):
    """The other way in; `name` is null when there is none."""

    name: str | None


class ExpectIn(In):
    email: Annotated[
        str,
        StringConstraints(
            strip_whitespace=True, to_lower=True, max_length=254, pattern=r"^[^\s@]{1,64}@[^\s@]{1,189}$"
        ),
    ]


class IdentityOut(Out):
    """An identity at the provider; `issuer` is null while the person is only expected."""

    id: uuid.UUID
    email: str
    issuer: str | None
    created_at: datetime
    last_used_at: datetime | None
