"""Telling webhooks: a row for each that listens, in the transaction of what happened, so that neither is without the
other."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from sqlalchemy import Text, Uuid, any_, bindparam, cast, exists, insert, select
from sqlalchemy.orm import Session

from backend import trace
from backend.db import Base
from backend.queue import ring
from backend.webhooks.models import Delivery, Webhook

EVENTS: Final[Mapping[str, str]] = {
    "label.created": "Somebody judged an item, or changed what they had said of it.",
    "label.retracted": "Somebody took a label back.",
    "task.completed": "Every item of a labelling task has the labels that it asked for.",
    "task.closed": "A labelling task was closed.",
    "dataset.imported": "A file was read into a new dataset.",
    "run.succeeded": "A training run came to its end.",
    "run.failed": "A training run failed, or was lost.",
    "run.cancelled": "A training run was cancelled.",
    "run.checked": "A check told whether a run got worse besides what it was to change.",
    "evaluation.finished": "An evaluation succeeded, failed or was cancelled.",
}
"""What webhooks can be told of."""
TEST: Final = "webhook.test"
PROJECT, EVENT = bindparam("project", type_=Uuid), cast(bindparam("event"), Text)
TELL = (
    insert(Base.metadata.tables[Delivery.__tablename__])
    .from_select(
        ["project_id", "webhook_id", "event", "body", "request_id"],
        select(PROJECT, Webhook.id, EVENT, bindparam("body", type_=Text), bindparam("request", type_=Text)).where(
            Webhook.project_id == PROJECT, any_(Webhook.events) == EVENT, Webhook.stopped_at.is_(None)
        ),
        include_defaults=False,
    )
    .returning(Delivery.id)
)
"""A delivery for each webhook that listens; written once, since every label asks it."""


LISTENED = exists().where(Webhook.project_id == PROJECT, Webhook.stopped_at.is_(None))
"""Whether anybody listens in the project, to be read along with something else."""


def tell(session: Session, project_id: uuid.UUID, event: str, data: Mapping[str, Any]) -> None:
    """Afterwards every webhook of the project that listens to the event has it to come, once the transaction commits.

    `data` holds ids, numbers and values, none of what people wrote.
    """
    named = {"project": project_id, "event": event, "body": written(event, data), "request": trace.request_id()}
    if session.scalars(TELL, named).all():  # without a listener, no label may wait for the broker
        ring(session, "webhooks")


def written(event: str, data: Mapping[str, Any]) -> str:
    """The body of a message."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return orjson.dumps({"type": event, "timestamp": at, "data": dict(data)}).decode()
