"""Walking through a dataset's items, less those withdrawn, with the labels that count, a thousand at a time."""

import uuid
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from typing import cast as said

import orjson
from sqlalchemy import Row, String, Text, cast, func, select
from sqlalchemy.orm import Session

from alignment.formats import Item as ReadItem
from alignment.formats.canonical import Split
from backend.datasets import judgements
from backend.datasets.models import Item

CHUNK = 1_000
_PARTS = (Item.prompt, Item.responses, Item.facts)
_WHOLE = "[" + cast(_PARTS[0], Text) + "," + cast(_PARTS[1], Text) + "," + cast(_PARTS[2], Text) + "]"
"""The three as one text, so that a row is decoded once."""


class Judged(NamedTuple):
    """An item as formats know it, its split, and the ids of the labels behind it."""

    item: ReadItem
    split: Split
    labels: list[uuid.UUID]


def chunk(
    session: Session,
    dataset_id: uuid.UUID,
    after: int,
    until: uuid.UUID | None = None,
    at_once: int = CHUNK,
    task_id: uuid.UUID | None = None,
) -> list[Judged]:
    """The next items after a position, in order; empty at the end.  `until` and `task_id` choose among labels, see
    `judgements.of_items`."""
    rows = session.execute(
        select(cast(Item.id, String), Item.position, Item.split, _WHOLE)
        .where(Item.dataset_id == dataset_id, Item.position > after, Item.withdrawn_at.is_(None))
        .order_by(Item.position)
        .limit(at_once)
    ).all()
    labels = judgements.of_items(session, [row[0] for row in rows], until, task_id)
    return [_judged(row, labels.get(row[0], [])) for row in rows]


def walk(
    session: Session,
    dataset_id: uuid.UUID,
    until: uuid.UUID | None = None,
    at_once: int = CHUNK,
    task_id: uuid.UUID | None = None,
) -> Iterator[Judged]:
    """Every item in order, so many read at once."""
    after = -1
    while found := chunk(session, dataset_id, after, until, at_once, task_id):
        yield from found
        after = found[-1].item.line


def spread(session: Session, dataset_id: uuid.UUID, count: int) -> list[ReadItem]:
    """So many items at most, in order, evenly from all over the dataset; without their labels."""
    mine = Item.dataset_id == dataset_id
    places = (session.scalar(select(func.max(Item.position)).where(mine)) or 0) + 1
    rows = session.execute(
        select(cast(Item.id, String), Item.position, Item.split, _WHOLE)
        .where(mine, Item.position.in_({n * places // count for n in range(count)}), Item.withdrawn_at.is_(None))
        .order_by(Item.position)
    )
    return [_judged(row, []).item for row in rows]


def by_prompt(session: Session, dataset_id: uuid.UUID) -> Iterator[Judged]:
    """Every item, those of one prompt after each other."""
    query = (
        select(cast(Item.id, String), Item.position, Item.split, _WHOLE)
        .where(Item.dataset_id == dataset_id, Item.withdrawn_at.is_(None))
        .order_by(Item.prompt_hash, Item.position)
    )
    for rows in session.execute(query.execution_options(yield_per=CHUNK)).partitions():
        labels = judgements.of_items(session, [row[0] for row in rows])
        yield from (_judged(row, labels.get(row[0], [])) for row in rows)


def _judged(row: Row[str, int, str, str], labels: Sequence[judgements.Judgement]) -> Judged:
    id, position, split, whole = row
    prompt, responses, facts = orjson.loads(whole)
    item = ReadItem(prompt, responses, [judgements.as_facts(label) for label in labels], facts, line=position, id=id)
    return Judged(item, said(Split, split), [label.id for label in labels])
