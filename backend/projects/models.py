"""Tables of projects, of who is in them, and of invitations into them."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.accounts.models import ROLE, Role
from backend.db import Base, ProjectRow, Row


class Project(Row, Base):
    """What every other row belongs to. An archived one can be read only; a deleted one is gone for everybody, and its
    rows and files follow as soon as nothing works on them."""

    __tablename__ = "projects"
    name: Mapped[str]
    archived_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))


class Membership(ProjectRow, Base):
    """That a person is in a project, and as what: owner, researcher or annotator."""

    __tablename__ = "memberships"
    __table_args__ = (UniqueConstraint("user_id", "project_id"),)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    role: Mapped[Role] = mapped_column(ROLE)


class Invitation(ProjectRow, Base):
    """A link that lets one person into a project once; `hint` says whom it is meant for, the row keeps a hash."""

    __tablename__ = "invitations"
    hint: Mapped[str]
    role: Mapped[Role] = mapped_column(ROLE)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    expires_at: Mapped[datetime]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    accepted_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    accepted_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
