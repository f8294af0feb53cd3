"""Walking through a dataset's items with the labels that count, a thousand at a time."""

import uuid
from collections.abc import Iterator
from typing import NamedTuple, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from alignment.formats import Item as ReadItem
from alignment.formats.canonical import Split
from backend.datasets import judgements
from backend.datasets.models import Item
from backend.labels.models import Label

CHUNK = 1_000


class Judged(NamedTuple):
    """An item as formats know it, its split, and the label rows behind it."""

    item: ReadItem
    split: Split
    labels: list[Label]


def chunk(session: Session, dataset_id: uuid.UUID, after: int, until: uuid.UUID | None = None) -> list[Judged]:
    """The next items after a position, in order; empty at the end."""
    rows = session.scalars(
        select(Item).where(Item.dataset_id == dataset_id, Item.position > after).order_by(Item.position).limit(CHUNK)
    ).all()
    labels = judgements.current(session, [row.id for row in rows], until)
    return [_judged(row, labels.get(row.id, [])) for row in rows]


def walk(session: Session, dataset_id: uuid.UUID, until: uuid.UUID | None = None) -> Iterator[Judged]:
    """Every item in order."""
    after = -1
    while found := chunk(session, dataset_id, after, until):
        yield from found
        after = found[-1].item.line


def _judged(row: Item, labels: list[Label]) -> Judged:
    item = ReadItem(
        prompt=row.prompt,  # type: ignore[arg-type]
        responses=row.responses,  # type: ignore[arg-type]
        labels=[judgements.as_facts(label) for label in labels],
        facts=row.facts,
        line=row.position,
        id=str(row.id),
    )
    return Judged(item, cast(Split, row.split), labels)
