"""Routes of webhooks; an owner's alone, as they lead out of the project."""

import uuid
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends

from backend.accounts.models import User
from backend.deps import IdentityDep, Owner, ProjectDep, SessionDep
from backend.errors import NotAllowed
from backend.paging import Cursor, Limit, Page
from backend.webhooks import outbox, service
from backend.webhooks.models import Delivery, DeliveryState, Webhook
from backend.webhooks.schemas import (
    DeliveryOut,
    WebhookEventOut,
    WebhookIn,
    WebhookListOut,
    WebhookOut,
    WebhookPatch,
    WebhookSecretOut,
)

router = APIRouter(tags=["webhooks"])


async def opens(user: Owner, identity: IdentityDep) -> User:
    """An owner; a token that expires opens no way out that would outlast it."""
    if identity.passing:
        raise NotAllowed(
            "This API token expires, and a webhook would outlast it.", remedy="Use the pages, or another token."
        )
    return user


Opener = Annotated[User, Depends(opens)]


def _out(webhook: Webhook) -> WebhookOut:
    return WebhookOut.model_validate(
        {name: getattr(webhook, name) for name in WebhookOut.model_fields if name != "active"}
        | {"active": webhook.stopped_at is None}
    )


def _delivery(row: Delivery) -> DeliveryOut:
    told = {name: getattr(row, name) for name in DeliveryOut.model_fields if name not in ("body", "next_at")}
    waiting = row.state is DeliveryState.waiting
    return DeliveryOut(**told, body=orjson.loads(row.body), next_at=row.next_at if waiting else None)


@router.get("/webhooks")
def list_webhooks(_: Owner, session: SessionDep, project: ProjectDep) -> WebhookListOut:
    """The webhooks of the project, and every event that they can be told of."""
    return WebhookListOut(
        items=[_out(one) for one in service.listed(session, project)],
        events=[WebhookEventOut(name=name, says=says) for name, says in outbox.EVENTS.items()],
    )


@router.post("/webhooks", status_code=201)
def add_webhook(body: WebhookIn, user: Opener, session: SessionDep, project: ProjectDep) -> WebhookSecretOut:
    """Have an address told of events. Its secret is shown this once."""
    made, secret = service.add(session, project, user, body)
    session.refresh(made)
    return WebhookSecretOut(**_out(made).model_dump(), secret=secret)


@router.patch("/webhooks/{webhook_id}")
def change_webhook(
    webhook_id: uuid.UUID, body: WebhookPatch, user: Opener, session: SessionDep, project: ProjectDep
) -> WebhookOut:
    """Another address, other events, stop, or begin again."""
    if body.url is not None:
        service.refuse_private(body.url)
    return _out(service.change(session, user, service.find(session, project, webhook_id), body))


@router.delete("/webhooks/{webhook_id}", status_code=204)
def delete_webhook(webhook_id: uuid.UUID, user: Owner, session: SessionDep, project: ProjectDep) -> None:
    """Forget a webhook, its secret and its deliveries."""
    service.delete(session, user, service.find(session, project, webhook_id))


@router.post("/webhooks/{webhook_id}/secret")
def renew_secret(webhook_id: uuid.UUID, user: Opener, session: SessionDep, project: ProjectDep) -> WebhookSecretOut:
    """Another secret, shown this once; for a day messages carry the signatures of both."""
    webhook = service.find(session, project, webhook_id)
    secret = service.new_secret(session, user, webhook)
    return WebhookSecretOut(**_out(webhook).model_dump(), secret=secret)


@router.post("/webhooks/{webhook_id}/test", status_code=202)
def try_webhook(webhook_id: uuid.UUID, _: Owner, session: SessionDep, project: ProjectDep) -> DeliveryOut:
    """Send a message that says nothing but that it arrived; its attempts are among the deliveries."""
    made = service.test(session, service.find(session, project, webhook_id))
    session.refresh(made)
    return _delivery(made)


@router.get("/webhooks/{webhook_id}/deliveries")
def list_deliveries(
    webhook_id: uuid.UUID,
    _: Owner,
    session: SessionDep,
    project: ProjectDep,
    cursor: Cursor = None,
    limit: Limit = 50,
    state: DeliveryState | None = None,
) -> Page[DeliveryOut]:
    """Messages to a webhook and their attempts, newest first."""
    webhook = service.find(session, project, webhook_id, lock=False)
    rows, next_cursor = service.deliveries(session, webhook, cursor, limit, state)
    return Page(items=[_delivery(row) for row in rows], next_cursor=next_cursor)


@router.post("/webhook-deliveries/{delivery_id}/again", status_code=202)
def send_again(delivery_id: uuid.UUID, _: Owner, session: SessionDep, project: ProjectDep) -> DeliveryOut:
    """Send a message once more, under the id that it had."""
    return _delivery(service.send_again(session, project, delivery_id))
