"""What is due to be sent, and what follows from an attempt: arrived, tried again later, or given up."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import structlog
from sqlalchemy import ColumnElement, Select, delete, func, literal_column, or_, select, true
from sqlalchemy.orm import Session, aliased

from backend.audit import service as audit
from backend.errors import AppError
from backend.webhooks import outbox
from backend.webhooks.models import Delivery, DeliveryState, Webhook
from backend.webhooks.service import secrets
from backend.work import now

log = structlog.get_logger()

WAITS: Final = tuple(
    timedelta(seconds=seconds) for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""How long after each attempt that failed the next one is made; one more than these are made."""
QUIET: Final = timedelta(minutes=5)  # the longest that one failing message holds up others to the same address
HELD: Final = timedelta(seconds=90)  # a sender that dies leaves its messages to others after this
STOPPED_AFTER: Final = timedelta(days=3)
LEAST_FAILURES: Final = 10
KEPT_ATTEMPTS: Final = 20
KEPT: Final = timedelta(days=30)
GONE: Final = 410


class Outgoing(NamedTuple):
    """A message to be sent now, with the secrets that sign it."""

    id: uuid.UUID
    url: str
    body: bytes
    secrets: Sequence[str]

    @property
    def message_id(self) -> str:
        """The id that receivers see: the same in every attempt."""
        return f"msg_{self.id.hex}"


class Outcome(NamedTuple):
    """What came of an attempt: a status, or in words why there is none."""

    status: int | None
    error: str | None
    seconds: float

    @property
    def arrived(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300


def take(session: Session, most: int) -> list[Outgoing]:
    """Messages that are due, held for this process for a while; one at a time to an address that fails.

    A message whose secret cannot be opened is given up.
    """
    at = now()
    due = aliased(Delivery, _due(at).limit(most).with_for_update(skip_locked=True).lateral("due"))
    query = select(due, Webhook).join(due, true()).where(_reachable(at)).order_by(due.next_at, due.id).limit(most)
    rows = session.execute(query).all() or session.execute(_tests(at).limit(most)).all()
    found, failing = [], set[uuid.UUID]()
    for row, webhook in rows:
        if webhook.id in failing:
            continue
        if webhook.failures:
            failing.add(webhook.id)
        row.next_at = at + HELD
        try:
            found.append(Outgoing(row.id, webhook.url, row.body.encode(), secrets(webhook)))
        except AppError as error:
            row.attempts = _with(row, Outcome(None, error.detail, 0))
            row.state = DeliveryState.failed
    return found


def _due(at: datetime) -> Select[Any]:
    """What one webhook is to be sent, oldest first: asked of each, so that nobody passes over the many messages that
    lie for one that does not answer."""
    waiting = Delivery.webhook_id == Webhook.id, Delivery.state == literal_column("'waiting'"), Delivery.next_at <= at
    return select(Delivery).where(*waiting).order_by(Delivery.next_at, Delivery.id).correlate(Webhook)


def _tests(at: datetime) -> Select[Delivery, Webhook]:
    """Tests that are due: they are sent to webhooks that are stopped, too."""
    waiting = Delivery.state == literal_column("'waiting'"), Delivery.event == literal_column(f"'{outbox.TEST}'")
    query = select(Delivery, Webhook).join(Webhook, Webhook.id == Delivery.webhook_id)
    due = query.where(*waiting, Delivery.next_at <= at).order_by(Delivery.next_at, Delivery.id)
    return due.with_for_update(skip_locked=True, of=Delivery)


def _reachable(at: datetime) -> ColumnElement[bool]:
    """It is not stopped and not to be left in peace."""
    return Webhook.stopped_at.is_(None) & or_(Webhook.quiet_until.is_(None), Webhook.quiet_until <= at)


def note(session: Session, message: Outgoing, outcome: Outcome) -> None:
    """Store what came of an attempt; a webhook that failed for days, or is gone, is stopped."""
    row = session.get(Delivery, message.id, with_for_update=True)
    if row is None:  # its webhook was deleted meanwhile
        return
    webhook = session.get_one(Webhook, row.webhook_id, with_for_update=True)
    row.tried += 1
    row.attempts = _with(row, outcome)
    if outcome.arrived:
        row.state, row.delivered_at = DeliveryState.delivered, now()
        webhook.failures, webhook.failing_since, webhook.quiet_until = 0, None, None
        return
    if row.tried > len(WAITS) or outcome.status == GONE or row.event == outbox.TEST:
        row.state = DeliveryState.failed
    else:
        row.next_at = now() + WAITS[row.tried - 1]
    if row.event != outbox.TEST:
        _failed(session, webhook, outcome)


def _failed(session: Session, webhook: Webhook, outcome: Outcome) -> None:
    webhook.failures += 1
    webhook.failing_since = webhook.failing_since or now()
    webhook.quiet_until = now() + min(QUIET, WAITS[min(webhook.failures, len(WAITS)) - 1])
    long = webhook.failures >= LEAST_FAILURES and now() - webhook.failing_since >= STOPPED_AFTER
    if webhook.stopped_at is None and (long or outcome.status == GONE):
        last = f"it answered {outcome.status}" if outcome.status else outcome.error
        since = f"{webhook.failures} attempts in a row failed since {webhook.failing_since:%Y-%m-%d %H:%M} UTC"
        webhook.stopped_at = now()
        webhook.stopped_because = (
            "The receiver says that the address is gone (410)."
            if outcome.status == GONE
            else f"{since}; lastly {last}."
        )
        audit.record(session, None, webhook.project_id, "stop", "webhook", webhook.id, {"failures": webhook.failures})
        log.warning("webhook stopped", webhook=str(webhook.id), failures=webhook.failures)


def _with(row: Delivery, outcome: Outcome) -> list[dict[str, object]]:
    said = {"status": outcome.status} if outcome.status is not None else {"error": outcome.error}
    one = {"at": now().isoformat(timespec="milliseconds"), **said, "seconds": round(outcome.seconds, 3)}
    return [*row.attempts, one][-KEPT_ATTEMPTS:]


def waits(session: Session) -> bool:
    """Whether something has been due for a few seconds and nobody sends it."""
    late = now() - timedelta(seconds=3)
    due = _due(late).limit(1).lateral("due")
    reachable = select(due.c.id).select_from(Webhook).join(due, true()).where(_reachable(late)).limit(1)
    return session.scalar(reachable) is not None or session.execute(_tests(late).limit(1)).first() is not None


def sweep(session: Session) -> int:
    """Forget messages of long ago; returns how many those were."""
    old = select(Delivery.id).where(Delivery.created_at < func.now() - KEPT).limit(10_000)
    return len(session.scalars(delete(Delivery).where(Delivery.id.in_(old)).returning(Delivery.id)).all())
