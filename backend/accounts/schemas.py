"""What goes in and out of the account routes."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from backend.accounts.models import Role

Name = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=1, max_length=64, pattern=r"^[\w.@+-]+$")
]
Password = Annotated[str, Field(min_length=10, max_length=256)]
Network = Literal["open", "no hub", "offline"]
MOST_TOKEN_DAYS = 3650
MemberRole = Literal[Role.owner, Role.researcher, Role.annotator]


def _writable(value: dict[str, Any]) -> dict[str, Any]:
    """The value as it is; ValueError where it could be read but not be written again."""
    try:
        orjson.dumps(value)
    except TypeError as refused:
        raise ValueError(f"what it holds is not to be kept as JSON: {refused}") from None
    return value


# Any JSON object of a caller that is stored or hashed: numbers fit 64 bits, text is Unicode, and nesting is bounded.
Json = Annotated[dict[str, Any], AfterValidator(_writable)]


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
    only: Literal["feedback"] | None = Field(None, description="The one thing that it may do: send feedback.")
    days: int | None = Field(None, ge=1, le=MOST_TOKEN_DAYS, description="It opens nothing afterwards; null: no end.")

    @model_validator(mode="after")
    def _of_use(self) -> Self:
        if self.only and self.read_only:
            raise ValueError("a token that sends feedback cannot be one that only reads")
        if self.only and self.role is Role.annotator:
            raise ValueError("feedback needs a researcher's rights")
        return self


class TokenOut(Out):
    id: uuid.UUID
    name: str
    project_id: uuid.UUID | None
    role: Role | None
    prefix: str
    read_only: bool
    only: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewTokenOut(TokenOut):
    token: str = Field(description="Shown once.")
