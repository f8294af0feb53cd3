"""Drawing a leased item as a card: side order by person, text by the safe renderer, nothing that tells the origin."""

import hashlib
import uuid
from typing import Any

from backend.datasets.models import Item
from backend.labels.leases import Held
from backend.labels.messages import shown
from backend.labels.models import Label
from backend.labels.schemas import Card, OwnLabelOut, SamePrompt, Suggestion
from backend.suggestions.models import Suggestion as SuggestionRow
from backend.tasks.answers import ratings_to_shown, to_shown
from backend.tasks.schemas import Question


def swapped(item: Item, annotator_id: uuid.UUID) -> bool:
    """Whether this person sees `responses[1]` on the left: random over items and people, for ever the same."""
    return _swapped(item.dataset_id, item.id, annotator_id)


def _swapped(dataset_id: uuid.UUID, item_id: uuid.UUID, annotator_id: uuid.UUID) -> bool:
    seeded = f"{dataset_id}:{item_id}:{annotator_id}"
    return bool(hashlib.sha256(seeded.encode()).digest()[0] & 1)


def turned(value: dict[str, Any], swap: bool) -> dict[str, Any]:
    """A label's value from shown to item order, or back."""
    return value | {"strength": -value["strength"]} if swap and "strength" in value else value


def shown_order(dataset_id: uuid.UUID, item_id: uuid.UUID, annotator_id: uuid.UUID, count: int) -> list[int]:
    """Which response this person sees at each place: random over items and people, for ever the same."""
    if count == 2:
        return [1, 0] if _swapped(dataset_id, item_id, annotator_id) else [0, 1]
    seeded = f"{dataset_id}:{item_id}:{annotator_id}"
    return sorted(range(count), key=lambda place: hashlib.sha256(f"{seeded}:{place}".encode()).digest())


def draw(
    question: Question, held: Held, same_prompt: SamePrompt | None = None, suggested: SuggestionRow | None = None
) -> Card:
    """The card of a leased item."""
    item, lease = held
    order = shown_order(item.dataset_id, item.id, lease.annotator_id, len(item.responses))
    return Card(
        item_id=item.id,
        dataset_id=item.dataset_id,
        task_id=lease.task_id,
        kind=question.kind,
        lease=lease.token,
        expires_at=lease.expires_at,
        position=lease.number,
        prompt=[shown(message) for message in item.prompt],
        responses=[shown(item.responses[place]) for place in order],
        suggestion=Suggestion(value=to_shown(suggested.value, order), by=suggested.by["words"]) if suggested else None,
        same_prompt=same_prompt,
    )


def as_shown(label: Label) -> OwnLabelOut:
    """A person's own label in the order they saw."""
    out = OwnLabelOut.model_validate(label)
    ratings = label.aspects or {}
    count = max((len(numbers) for numbers in ratings.values()), default=2)
    if "ranking" in label.value:
        count = sum(len(group) for group in label.value["ranking"])
    if count == 2 or label.annotator_id is None:
        order = [1, 0] if label.swapped else [0, 1]
    else:
        order = shown_order(label.dataset_id, label.item_id, label.annotator_id, count)
    aspects = ratings_to_shown(ratings, order) if ratings else None
    return out.model_copy(update={"value": to_shown(label.value, order), "aspects": aspects})
