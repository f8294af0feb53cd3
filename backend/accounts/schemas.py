"""What goes in and out of the account routes."""

import uuid
from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from backend.accounts.models import Role

Name = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=1, max_length=64, pattern=r"^[\w.@+-]+$")
]
Password = Annotated[str, Field(min_length=10, max_length=256)]
T = TypeVar("T")


class In(BaseModel):
    """A body; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Out(BaseModel):
    """An answer, read from a row."""

    model_config = ConfigDict(from_attributes=True)


class Page(BaseModel, Generic[T]):
    """One page of a list; `next_cursor` is null on the last."""

    items: list[T]
    next_cursor: str | None = None


class SignInIn(In):
    name: Annotated[str, Field(max_length=256)]
    password: Annotated[str, Field(max_length=256)]


class PasswordIn(In):
    old: Annotated[str, Field(max_length=256)]
    new: Password


class UserIn(In):
    name: Name
    role: Role


class UserPatch(In):
    role: Role | None = None
    active: bool | None = None


class UserOut(Out):
    id: uuid.UUID
    name: str
    role: Role
    active: bool
    created_at: datetime


class NewUserOut(UserOut):
    password: str = Field(description="Shown once.")


class NewPasswordOut(Out):
    password: str = Field(description="Shown once.")


class TokenIn(In):
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]


class TokenOut(Out):
    id: uuid.UUID
    name: str
    prefix: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewTokenOut(TokenOut):
    token: str = Field(description="Shown once.")
