"""Table of secrets."""

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Enum, ForeignKey, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, ProjectRow


class SecretKind(StrEnum):
    """Where a secret may be sent: to the model hub, or to the one server that `origin` names."""

    hub = "hub"
    endpoint = "endpoint"


class Secret(ProjectRow, Base):
    """A token or key by name. `sealed` is the encrypted value, `hint` its last four characters."""

    __tablename__ = "secrets"
    __table_args__ = (UniqueConstraint("project_id", "name"),)
    name: Mapped[str]
    kind: Mapped[SecretKind] = mapped_column(Enum(SecretKind, native_enum=False, length=16, create_constraint=False))
    origin: Mapped[str | None]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    hint: Mapped[str]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    set_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
