"""What goes in and out of the account routes."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from backend.accounts.models import Role

Name = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=1, max_length=64, pattern=r"^[\w.@+-]+$")
]
Password = Annotated[str, Field(min_length=10, max_length=256)]
Network = Literal["open", "no hub", "offline"]
MOST_TOKEN_DAYS = 3650
MemberRole = Literal[Role.owner, Role.researcher, Role.annotator]


class In(BaseModel):
    """A body; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Out(BaseModel):
    """An answer, read from a row."""

    model_config = ConfigDict(from_attributes=True)


class SignInIn(In):
    name: Annotated[str, Field(max_length=256)]
    password: Annotated[str, Field(max_length=256)]


class PasswordIn(In):
    old: Annotated[str, Field(max_length=256)]
    new: Password


class UserIn(In):
    name: Name
    admin: bool = False


class UserPatch(In):
    admin: bool | None = None
    active: bool | None = None


class UserOut(Out):
    id: uuid.UUID
    name: str
    admin: bool = Field(description="Of the instance: looks after accounts, and may do everything in every project.")
    active: bool
    created_at: datetime


class OwnProject(BaseModel):
    """A project that the caller is in."""

    id: uuid.UUID
    name: str
    role: Role
    archived: bool


class MeOut(UserOut):
    network: Network = Field(description="What may be reached from here: everything, no hub, or nothing outside.")
    project: OwnProject | None = Field(description="The project of this request; null when the caller is in none.")
    projects: list[OwnProject]


class NewUserOut(UserOut):
    password: str = Field(description="Shown once.")


class NewPasswordOut(Out):
    password: str = Field(description="Shown once.")


class ProjectChoice(In):
    project_id: uuid.UUID


class TokenIn(In):
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
    project_id: uuid.UUID | None = Field(None, description="The only project that it opens; null for all of yours.")
    role: MemberRole | None = Field(None, description="It may do no more than this; null for all that you may.")
    read_only: bool = Field(False, description="Whether it may only read.")
    days: int | None = Field(None, ge=1, le=MOST_TOKEN_DAYS, description="It opens nothing afterwards; null: no end.")


class TokenOut(Out):
    id: uuid.UUID
    name: str
    project_id: uuid.UUID | None
    role: Role | None
    prefix: str
    read_only: bool
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewTokenOut(TokenOut):
    token: str = Field(description="Shown once.")
