"""What goes in and out of the routes of projects, members and invitations."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from backend.accounts.models import Role
from backend.accounts.schemas import In, MemberRole, Name, Out, Password

Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
Token = Annotated[str, StringConstraints(min_length=20, max_length=100, pattern=r"^[\w-]+$")]
MOST_DAYS = 90


class ProjectIn(In):
    name: Title


class ProjectPatch(In):
    name: Title | None = None
    archived: bool | None = None


class ProjectOut(Out):
    id: uuid.UUID
    name: str
    role: Role = Field(description="What the caller may do in it.")
    archived_at: datetime | None
    created_at: datetime


class MemberIn(In):
    name: Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=1, max_length=64)]
    role: MemberRole


class MemberPatch(In):
    role: MemberRole


class MemberOut(BaseModel):
    user_id: uuid.UUID
    name: str
    role: Role
    active: bool
    since: datetime


class InvitationIn(In):
    hint: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)] = Field(
        description="Whom it is for: a name or an address, for the list of invitations. Nothing is sent."
    )
    role: MemberRole
    days: int = Field(7, ge=1, le=MOST_DAYS, description="Days that the link opens.")


class InvitationOut(BaseModel):
    id: uuid.UUID
    hint: str
    role: Role
    state: Literal["open", "accepted", "revoked", "expired"]
    created_at: datetime
    created_by: str | None
    expires_at: datetime
    accepted_by: str | None
    accepted_at: datetime | None


class NewInvitationOut(InvitationOut):
    token: str = Field(description="Shown once; the link is /invitation#<token>.")


class InvitationTokenIn(In):
    token: Token


class OfferOut(BaseModel):
    """What an invitation says to whoever holds its link."""

    project: str
    role: Role
    hint: str
    invited_by: str
    expires_at: datetime
    signed_in_as: str | None


class AcceptIn(In):
    token: Token
    name: Name | None = Field(None, description="Of a new account; null to join as the person signed in.")
    password: Password | None = None


class AcceptedOut(BaseModel):
    project_id: uuid.UUID
    project: str
    role: Role
    name: str
