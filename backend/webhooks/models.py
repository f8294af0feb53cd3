"""Tables of webhooks and of what is to be delivered to them, an outbox written with the change that it tells."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Enum, ForeignKey, Index, LargeBinary, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import Base, ProjectRow
from backend.projects import models as _projects  # noqa: F401  (keys name projects)


class Webhook(ProjectRow, Base):
    """An address that is told of `events`. `sealed` is its secret, `former` the one before until `former_until`.

    `failures` are attempts in a row that failed, since `failing_since`; until `quiet_until` none is made. It is told of
    nothing while `stopped_at` is set, by an owner or, with the reason, by too many failures.
    """

    __tablename__ = "webhooks"
    __table_args__ = (Index("ix_webhooks_project_id_id", "project_id", "id"),)
    url: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(default="", server_default="")
    events: Mapped[list[str]] = mapped_column(ARRAY(Text))
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    former: Mapped[bytes | None] = mapped_column(LargeBinary)
    former_until: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    failing_since: Mapped[datetime | None]
    quiet_until: Mapped[datetime | None]
    stopped_at: Mapped[datetime | None]
    stopped_because: Mapped[str | None]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))


class DeliveryState(StrEnum):
    """Where a delivery stands: it waits for its next attempt, has arrived, or was given up."""

    waiting = "waiting"
    delivered = "delivered"
    failed = "failed"


class Delivery(ProjectRow, Base):
    """A message to one webhook: `body` is sent as it stands, under the row's id, by every attempt.

    `attempts` are `{at, status | error, seconds}`, of which the newest are kept; `tried` counts all.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index("ix_webhook_deliveries_webhook_id_id", "webhook_id", "id"),
        Index("ix_webhook_deliveries_due", "webhook_id", "next_at", postgresql_where=text("state = 'waiting'")),
        Index(
            "ix_webhook_deliveries_tests",
            "next_at",
            postgresql_where=text("state = 'waiting' AND event = 'webhook.test'"),
        ),
    )
    webhook_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event: Mapped[str]
    body: Mapped[str] = mapped_column(Text)
    state: Mapped[DeliveryState] = mapped_column(
        Enum(DeliveryState, native_enum=False, length=16, create_constraint=False),
        default=DeliveryState.waiting,
        server_default="waiting",
    )
    tried: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    attempts: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list, server_default=text("'[]'"))
    next_at: Mapped[datetime] = mapped_column(server_default=func.now())
    delivered_at: Mapped[datetime | None]
    request_id: Mapped[str | None]
