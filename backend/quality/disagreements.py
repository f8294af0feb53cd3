"""The items on which people disagree most, to be settled by somebody who does not see what they said."""

import uuid
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.datasets.models import Item
from backend.labels.cards import shown_order
from backend.labels.messages import shown
from backend.labels.models import Label, LabelSource
from backend.labels.queries import newest, retracted
from backend.paging import BadCursor
from backend.quality import reading
from backend.quality.reading import Scope
from backend.quality.schemas import DisagreementOut

PARTS = 1_000_000  # a cursor tells how much people disagree in millionths


class Doubt(NamedTuple):
    """How much people disagree about the item at a position, in millionths, and how many judged it."""

    millionths: int
    position: int
    labels: int


def page(
    session: Session, scope: Scope, user_id: uuid.UUID, cursor: str | None, limit: int
) -> tuple[list[DisagreementOut], str | None]:
    """Items not yet adjudicated, those with the most disagreement first, and the cursor of the next page."""
    doubts = _doubts(session, scope)
    if cursor is not None:
        last = _read(cursor)
        doubts = [one for one in doubts if (-one.millionths, one.position) > last]
    shown_now = doubts[:limit]
    following = f"{shown_now[-1].millionths}-{shown_now[-1].position}" if len(doubts) > limit else None
    return _drawn(session, scope, user_id, shown_now), following


def _doubts(session: Session, scope: Scope) -> list[Doubt]:
    judged = reading.judged(reading.read(session, scope))
    chosen = reading.chosen(scope, judged)
    counts = chosen.counts()
    labels = counts.sum(axis=1)
    pairs = labels * (labels - 1)
    alike = np.sum(counts * (counts - 1), axis=1)
    compared = pairs > 0
    apart = np.where(compared, 1 - alike / np.where(compared, pairs, 1), 0.0)
    positions, people = np.unique(judged.item, return_counts=True)
    units = np.bincount(chosen.item[compared], minlength=len(positions))
    each = np.bincount(chosen.item, weights=apart, minlength=len(positions)) / np.maximum(units, 1)
    settled = _settled(session, scope)
    found = [
        Doubt(round(float(each[place]) * PARTS), int(positions[place]), int(people[place]))
        for place in np.nonzero(each > 0)[0]
        if int(positions[place]) not in settled
    ]
    return sorted(found, key=lambda one: (-one.millionths, one.position))


def _settled(session: Session, scope: Scope) -> set[int]:
    """Positions of items that somebody has adjudicated and not taken back."""
    own = Label.dataset_id == scope.dataset.id, Label.source == LabelSource.adjudication
    query = select(Item.position).join(Label, Label.item_id == Item.id).where(*own, newest(Label), ~retracted(Label))
    return set(session.scalars(query))


def _drawn(session: Session, scope: Scope, user_id: uuid.UUID, doubts: Sequence[Doubt]) -> list[DisagreementOut]:
    places = [one.position for one in doubts]
    query = select(Item).where(Item.dataset_id == scope.dataset.id, Item.position.in_(places))
    items = {item.position: item for item in session.scalars(query)}
    return [_card(items[one.position], scope, user_id, one) for one in doubts]


def _card(item: Item, scope: Scope, user_id: uuid.UUID, doubt: Doubt) -> DisagreementOut:
    order = shown_order(item.dataset_id, item.id, user_id, len(item.responses))
    return DisagreementOut(
        item_id=item.id,
        dataset_id=item.dataset_id,
        position=item.position,
        kind=scope.kind,
        labels=doubt.labels,
        disagreement=doubt.millionths / PARTS,
        prompt=[shown(message) for message in item.prompt],
        responses=[shown(item.responses[place]) for place in order],
    )


def _read(cursor: str) -> tuple[int, int]:
    """Where a page ended.  Raises BadCursor."""
    parts = cursor.split("-")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) <= 10 for part in parts):
        raise BadCursor("The cursor is not one that a list gave.", field="cursor", remedy="Begin with the first page.")
    return -int(parts[0]), int(parts[1])
