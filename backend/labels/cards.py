"""Drawing a leased item as a card: side order by person, text by the safe renderer, nothing that tells the origin."""

import hashlib
import json
import uuid
from typing import Any

from backend.datasets.models import Item
from backend.labels.leases import Held
from backend.labels.schemas import Card, ShownMessage
from backend.render import render


def swapped(item: Item, annotator_id: uuid.UUID) -> bool:
    """Whether this person sees `responses[1]` on the left: random over items and people, for ever the same."""
    seeded = f"{item.dataset_id}:{item.id}:{annotator_id}"
    return bool(hashlib.sha256(seeded.encode()).digest()[0] & 1)


def turned(value: dict[str, Any], swap: bool) -> dict[str, Any]:
    """A label's value from shown to item order, or back."""
    return value | {"strength": -value["strength"]} if swap and "strength" in value else value


def draw(held: Held) -> Card:
    """The card of a leased pair."""
    item, lease = held
    first, second = item.responses
    if swapped(item, lease.annotator_id):
        first, second = second, first
    return Card(
        item_id=item.id,
        dataset_id=item.dataset_id,
        lease=lease.token,
        expires_at=lease.expires_at,
        position=item.position,
        prompt=[_show(message) for message in item.prompt],
        left=_show(first),
        right=_show(second),
    )


def _show(message: dict[str, Any]) -> ShownMessage:
    """Role and text; a message's `name` may be a model's and stays hidden."""
    calls = message.get("tool_calls")
    return ShownMessage(
        role=message["role"],
        html=render(message["content"]),
        text=message["content"],
        reasoning=message.get("reasoning"),
        tool_calls=json.dumps(calls, ensure_ascii=False, indent=2) if calls else None,
    )
