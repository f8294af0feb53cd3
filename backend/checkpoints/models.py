"""Tables of checkpoints and of their downloads from a hub."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Enum, ForeignKey, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, ProjectRow
from backend.work import Tried


class Source(StrEnum):
    """Where a checkpoint came from."""

    folder = "folder"
    hub = "hub"
    run = "run"
    toy = "toy"
    endpoint = "endpoint"
    outputs = "outputs"


class CheckpointKind(StrEnum):
    """What a checkpoint does: it writes responses, or scores those of others."""

    language_model = "language_model"
    reward_model = "reward_model"


class Checkpoint(ProjectRow, Base):
    """A folder of weights that does not change, an adapter on its parent, or a model that an endpoint serves.

    `path` is an endpoint's address. `template` is a chat template that somebody gave to weights without `own_template`.
    No rule removes the weights of one that is `pinned`; `removed_by` is the rule that did. `bytes` is the size of what
    lies in the storage, null until it is measured.
    """

    __tablename__ = "checkpoints"
    __table_args__ = (
        UniqueConstraint("run_id", "step"),
        UniqueConstraint("project_id", "path"),
        Index("ix_checkpoints_project_id_id", "project_id", "id"),
    )
    name: Mapped[str]
    source: Mapped[Source] = mapped_column(Enum(Source, native_enum=False, length=16, create_constraint=False))
    path: Mapped[str]
    hub_id: Mapped[str | None]
    revision: Mapped[str | None]
    run_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("runs.id", ondelete="SET NULL", use_alter=True, name="fk_checkpoints_run_id"), index=True
    )
    parent_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("checkpoints.id", ondelete="SET NULL"), index=True)
    step: Mapped[int | None]
    adapter: Mapped[bool] = mapped_column(default=False)
    kind: Mapped[CheckpointKind] = mapped_column(
        Enum(CheckpointKind, native_enum=False, length=16, create_constraint=False),
        default=CheckpointKind.language_model,
    )
    architecture: Mapped[str]
    parameters: Mapped[int] = mapped_column(BigInteger)
    max_tokens: Mapped[int | None]
    toy: Mapped[bool] = mapped_column(default=False)
    endpoint: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    own_template: Mapped[bool] = mapped_column(default=True)
    template: Mapped[str | None]
    license: Mapped[str | None]
    pinned: Mapped[bool] = mapped_column(default=False)
    removed_at: Mapped[datetime | None]
    removed_by: Mapped[str | None]
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))


class Fetch(Tried, ProjectRow, Base):
    """A download from a model hub on its way to a checkpoint; `done` and `total` count bytes.

    `secret` names the project's token that opens the model; `attempts` counts workers that began it.
    """

    __tablename__ = "fetches"
    __table_args__ = (Index("ix_fetches_project_id_id", "project_id", "id"),)
    done: Mapped[int] = mapped_column(BigInteger, default=0)
    total: Mapped[int] = mapped_column(BigInteger, default=0)
    name: Mapped[str]
    hub_id: Mapped[str]
    revision: Mapped[str]
    commit: Mapped[str | None]
    secret: Mapped[str | None]
    template: Mapped[str | None]
    license: Mapped[str | None]
    checkpoint_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("checkpoints.id", ondelete="SET NULL"))
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
