"""Tables of people and what lets them in. Secrets are stored as hashes only."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Enum, ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from backend.db import Base, Row


class Role(StrEnum):
    """What a person may do in a project, the least first.

    An annotator labels and votes, nothing else; a researcher does everything but the members' and the project's own
    affairs, which are an owner's. `admin` is what an admin of the instance is in every project; nobody is made a
    member as one.
    """

    annotator = "annotator"
    researcher = "researcher"
    owner = "owner"
    admin = "admin"

    def includes(self, other: "Role") -> bool:
        """Whether whoever has this role may do what `other` may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(other)


ROLE = Enum(Role, native_enum=False, length=16, create_constraint=False)


class User(Row, Base):
    """A person who can sign in. What they may do is up to their memberships; an `admin` may do everything, and looks
    after the accounts of all."""

    __tablename__ = "users"
    name: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    admin: Mapped[bool] = mapped_column(default=False)
    active: Mapped[bool] = mapped_column(default=True)
    erased_at: Mapped[datetime | None]


class SignIn(Row, Base):
    """A browser session; the cookie holds the token, the row its SHA-256."""

    __tablename__ = "sessions"
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    expires_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class ApiToken(Row, Base):
    """A token for programs; shown once, stored as its SHA-256. One with a project opens nothing else, one with a role
    may do no more than that, whatever its person may, one that is `read_only` changes nothing; one that is `only` for
    feedback does nothing but send that."""

    __tablename__ = "api_tokens"
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    project_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    role: Mapped[Role | None] = mapped_column(ROLE)
    prefix: Mapped[str]
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    read_only: Mapped[bool] = mapped_column(default=False)
    only: Mapped[str | None] = mapped_column(String(16))
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class Identity(Row, Base):
    """Who a person is at a sign-in provider. Until they first come from there, only the email is known by which they
    are expected."""

    __tablename__ = "identities"
    __table_args__ = (
        UniqueConstraint("issuer", "subject"),
        Index("ix_identities_expected", "email", unique=True, postgresql_where=text("subject IS NULL")),
    )
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    email: Mapped[str]
    issuer: Mapped[str | None]
    subject: Mapped[str | None]
    last_used_at: Mapped[datetime | None]
    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class IdempotencyKey(Row, Base):
    """The answer to a request that may be sent twice."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (UniqueConstraint("user_id", "key"),)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    key: Mapped[str]
    request_hash: Mapped[str]
    body: Mapped[dict[str, Any]]
