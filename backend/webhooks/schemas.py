"""What goes in and out of the routes of webhooks."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from backend.accounts.schemas import In, Out
from backend.webhooks.models import DeliveryState
from backend.webhooks.outbox import EVENTS

MOST_URL = 2000


def _address(value: str) -> str:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("This is no web address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or "\\" in value:
        raise ValueError("Write an http or https address, like https://example.com/hook")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("The address holds a name, password or fragment; leave that out")
    if any(ord(sign) <= 32 or ord(sign) == 127 for sign in value):
        raise ValueError("The address holds spaces or control characters")
    return value


def _known(events: list[str]) -> list[str]:
    unknown = [one for one in events if one not in EVENTS]
    if unknown:
        raise ValueError(f"{unknown[0][:40]!r} is no event; choose among {', '.join(EVENTS)}")
    return list(dict.fromkeys(events))


Url = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MOST_URL), AfterValidator(_address)]
Events = Annotated[list[str], Field(min_length=1, max_length=50), AfterValidator(_known)]
Description = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]


class WebhookIn(In):
    url: Url
    events: Events
    description: Description = ""


class WebhookPatch(In):
    """What is given is changed; `active: true` begins again after failures."""

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    active: bool | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("give something to change")
        return self


class WebhookOut(Out):
    """A webhook, without its secret."""

    id: uuid.UUID
    created_at: datetime
    url: str
    description: str
    events: list[str]
    active: bool
    stopped_because: str | None = Field(description="Why nothing is sent any more, where failures ended it.")
    failures: int = Field(description="Attempts in a row that failed.")
    failing_since: datetime | None
    former_until: datetime | None = Field(description="Until when the secret before signs as well.")


class WebhookSecretOut(WebhookOut):
    """A webhook with its new secret, which is shown this once."""

    secret: str


class DeliveryOut(Out):
    """A message to a webhook and how its attempts went."""

    id: uuid.UUID
    created_at: datetime
    webhook_id: uuid.UUID
    event: str
    state: DeliveryState
    tried: int
    attempts: list[dict[str, Any]]
    next_at: datetime | None
    delivered_at: datetime | None
    body: dict[str, Any]


class WebhookEventOut(Out):
    """An event that webhooks can be told of."""

    name: str
    says: str


class WebhookListOut(Out):
    """The webhooks of the project, and what they can be told of."""

    items: list[WebhookOut]
    next_cursor: None = None
    events: list[WebhookEventOut]
