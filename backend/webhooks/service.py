"""Keeping webhooks: adding, changing, their secrets, sending again."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from backend import outbound, paging, trace
from backend.accounts.models import User
from backend.audit import service as audit
from backend.errors import Conflict, NotFound
from backend.projects.models import Project
from backend.queue import ring
from backend.redaction import hide
from backend.secrets import seal
from backend.settings import get_settings
from backend.webhooks import outbox, signing
from backend.webhooks.models import Delivery, DeliveryState, Webhook
from backend.webhooks.schemas import WebhookIn, WebhookPatch
from backend.work import now

MOST = 20
BOTH_VALID = timedelta(hours=24)
TESTS_WAITING = 5


class TooManyWebhooks(Conflict):
    title = "Too many webhooks"


class StillWaiting(Conflict):
    title = "Still waiting"


def add(session: Session, project: Project, user: User, body: WebhookIn) -> tuple[Webhook, str]:
    """A new webhook and its secret, which is nowhere to be read again.

    Raises AddressRefused, TooManyWebhooks, BadSecretKey.
    """
    refuse_private(body.url)
    session.execute(select(Project.id).where(Project.id == project.id).with_for_update(key_share=True))
    if (session.scalar(select(func.count()).where(Webhook.project_id == project.id)) or 0) >= MOST:
        raise TooManyWebhooks(f"A project has {MOST} webhooks at the most.", remedy="Delete one that is not needed.")
    made = Webhook(id=uuid7(), project_id=project.id, created_by=user.id, sealed=b"", **body.model_dump())
    secret = _new_secret(made)
    session.add(made)
    session.flush()
    audit.record(session, user, project.id, "create", "webhook", made.id, _told(made))
    return made, secret


def find(session: Session, project: Project, webhook_id: uuid.UUID, *, lock: bool = True) -> Webhook:
    """The webhook, if it is this project's, locked to be changed.  Raises NotFound."""
    found = session.get(Webhook, webhook_id, with_for_update=lock)
    if found is None or found.project_id != project.id:
        raise NotFound.of("webhook")
    return found


def listed(session: Session, project: Project) -> Sequence[Webhook]:
    """The webhooks of the project, the newest first."""
    return session.scalars(select(Webhook).where(Webhook.project_id == project.id).order_by(Webhook.id.desc())).all()


def refuse_private(url: str) -> None:
    """Before any row is held, as a name may take long to resolve.  Raises AddressRefused, TooManyChecks."""
    settings = get_settings()
    outbound.refuse_unreachable(url, settings.allowed_addresses, offline=settings.offline, field="url")


def change(session: Session, user: User, webhook: Webhook, body: WebhookPatch) -> Webhook:
    """Another address, other events, or no more; what waits goes to the new address."""
    for name in ("url", "events", "description"):
        if (value := getattr(body, name)) is not None:
            setattr(webhook, name, value)
    if body.active is False:
        webhook.stopped_at, webhook.stopped_because = webhook.stopped_at or now(), None
    elif body.active:
        begin_again(webhook)
        ring(session, "webhooks")
    audit.record(session, user, webhook.project_id, "change", "webhook", webhook.id, _told(webhook))
    return webhook


def begin_again(webhook: Webhook) -> None:
    """Afterwards the webhook is sent what it waits for, and its failures are forgotten."""
    webhook.stopped_at = webhook.stopped_because = webhook.failing_since = webhook.quiet_until = None
    webhook.failures = 0


def delete(session: Session, user: User, webhook: Webhook) -> None:
    """Forget a webhook and its deliveries."""
    audit.record(session, user, webhook.project_id, "delete", "webhook", webhook.id, _told(webhook))
    session.delete(webhook)


def new_secret(session: Session, user: User, webhook: Webhook) -> str:
    """Another secret; for a day messages are signed with both, so that the receiver can change over."""
    former = secrets(webhook)[0]
    secret = _new_secret(webhook)
    webhook.former = seal.seal(former, _row(webhook), seal.keys(get_settings()))
    webhook.former_until = now() + BOTH_VALID
    audit.record(session, user, webhook.project_id, "renew", "webhook", webhook.id, _told(webhook))
    return secret


def secrets(webhook: Webhook) -> list[str]:
    """The secrets that sign just now, the newest first; this process writes none of them into a log.

    Raises SecretUnreadable, BadSecretKey.
    """
    ring_of_keys = seal.keys(get_settings())
    sealed = [webhook.sealed]
    if webhook.former is not None and webhook.former_until is not None and webhook.former_until > now():
        sealed.append(webhook.former)
    found = [seal.unseal(one, _row(webhook), ring_of_keys) for one in sealed]
    for one in found:
        hide(one)
    return found


def seal_again(session: Session, keys: Sequence[bytes]) -> int:
    """Seal the secrets of all webhooks under the first key; how many there were to do."""
    count = 0
    for webhook in session.scalars(select(Webhook).order_by(Webhook.id).with_for_update()):
        for name in ("sealed", "former"):
            sealed = getattr(webhook, name)
            if sealed is not None and not seal.current(sealed, keys):
                setattr(webhook, name, seal.seal(seal.unseal(sealed, _row(webhook), keys), _row(webhook), keys))
                count += 1
    return count


def openable(session: Session, keys: Sequence[bytes]) -> tuple[int, int]:
    """How many secrets webhooks have, and how many of them the keys do not open."""
    found = [(one, sealed) for one in session.scalars(select(Webhook)) for sealed in (one.sealed, one.former) if sealed]
    closed = 0
    for webhook, sealed in found:
        try:
            seal.unseal(sealed, _row(webhook), keys)
        except seal.SecretUnreadable:
            closed += 1
    return len(found), closed


def test(session: Session, webhook: Webhook) -> Delivery:
    """A message that says nothing but that it arrived, also to a webhook that is stopped.  Raises StillWaiting."""
    waiting = select(func.count()).where(
        Delivery.webhook_id == webhook.id, Delivery.event == outbox.TEST, Delivery.state == DeliveryState.waiting
    )
    if (session.scalar(waiting) or 0) >= TESTS_WAITING:
        raise StillWaiting("Several tests wait already.", remedy="See below what became of them.")
    body = outbox.written(outbox.TEST, {"webhook_id": str(webhook.id), "project_id": str(webhook.project_id)})
    made = Delivery(
        id=uuid7(),
        project_id=webhook.project_id,
        webhook_id=webhook.id,
        event=outbox.TEST,
        body=body,
        attempts=[],
        tried=0,
        next_at=now(),
        request_id=trace.request_id(),
    )
    session.add(made)
    session.flush()
    ring(session, "webhooks")
    return made


def deliveries(
    session: Session, webhook: Webhook, cursor: str | None, limit: int, state: DeliveryState | None
) -> tuple[Sequence[Delivery], str | None]:
    """Messages to a webhook, newest first, and the cursor of the next page."""
    query = select(Delivery).where(Delivery.webhook_id == webhook.id)
    if state is not None:
        query = query.where(Delivery.state == state)
    return paging.page(session, query, Delivery.id, cursor, limit)


def send_again(session: Session, project: Project, delivery_id: uuid.UUID) -> Delivery:
    """Have a message sent anew under its own id, with as many attempts as at first.  Raises NotFound, StillWaiting."""
    found = session.get(Delivery, delivery_id, with_for_update=True)
    if found is None or found.project_id != project.id:
        raise NotFound.of("delivery")
    if found.state is DeliveryState.waiting and found.tried == 0:
        raise StillWaiting("It has not been sent yet.", remedy="It goes by itself.")
    found.state, found.tried, found.next_at, found.delivered_at = DeliveryState.waiting, 0, now(), None
    webhook = session.get_one(Webhook, found.webhook_id, with_for_update=True)
    webhook.quiet_until = None
    ring(session, "webhooks")
    return found


def _new_secret(webhook: Webhook) -> str:
    secret = signing.new_secret()
    hide(secret)
    webhook.sealed = seal.seal(secret, _row(webhook), seal.keys(get_settings()))
    return secret


def _row(webhook: Webhook) -> str:
    """What a sealed secret is bound to: nobody can make it another webhook's."""
    return f"webhook {webhook.id} {webhook.project_id}"


def _told(webhook: Webhook) -> dict[str, str]:
    """What the audit log says of a webhook: where it leads, without path and query, which may hold keys."""
    return {"origin": "/".join(webhook.url.split("?", 1)[0].split("/", 3)[:3])}
