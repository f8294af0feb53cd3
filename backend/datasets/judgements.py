"""Which labels of an item count: of each annotator the newest, unless it was taken back."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import orjson
from sqlalchemy import ARRAY, ColumnElement, String, Uuid, cast, func, literal, select
from sqlalchemy.orm import Session

from alignment.formats import LabelFacts
from alignment.formats.canonical import LabelOrigin
from backend.labels.models import Label

L = TypeVar("L", Label, "Judgement")


def annotator() -> ColumnElement[str]:
    """Who judged: a person here, a named annotator of an imported file, or somebody unnamed (each label alone)."""
    return func.coalesce(cast(Label.annotator_id, String), Label.value["annotator"].astext, cast(Label.id, String))


def current(session: Session, item_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Label]]:
    """The labels that count of each item, oldest first."""
    found: dict[uuid.UUID, list[Label]] = defaultdict(list)
    for label in session.scalars(select(Label).where(Label.item_id.in_(item_ids))):
        found[label.item_id].append(label)
    return {item: counting(labels) for item, labels in found.items()}


class Judgement(NamedTuple):
    """What formats need of a label, without the row."""

    id: uuid.UUID
    item_id: str
    value: dict[str, Any]
    source: LabelOrigin
    annotator_id: uuid.UUID | None
    rationale: str | None
    seconds: float | None
    version: int
    created_at: datetime


_COLUMNS = (
    Label.id,
    cast(Label.item_id, String),
    cast(Label.value, String),
    cast(Label.source, String),
    Label.annotator_id,
    Label.rationale,
    Label.seconds,
    Label.version,
    Label.created_at,
)


def of_items(session: Session, item_ids: Sequence[str], until: uuid.UUID | None = None) -> dict[str, list[Judgement]]:
    """The labels that count of each item, for walks through a whole dataset; with `until`, as they were when that label
    was the newest."""
    # a join, not "= ANY": Postgres would compare every label with every id where it does not know the ids beforehand
    wanted = (
        func.unnest(cast(literal(f"{{{','.join(item_ids)}}}", String), ARRAY(Uuid))).table_valued("id").render_derived()
    )
    query = select(*_COLUMNS).join(wanted, Label.item_id == wanted.c.id)
    rows: Iterable[Any] = session.execute(query if until is None else query.where(Label.id <= until))
    found: dict[str, list[Judgement]] = defaultdict(list)
    for id, item_id, value, *rest in rows:
        found[item_id].append(Judgement(id, item_id, orjson.loads(value), *rest))
    return {item: counting(labels) for item, labels in found.items()}


def counting(labels: list[L]) -> list[L]:
    """Of an item's labels those that count, oldest first: of each annotator the newest version, if not taken back."""
    if len(labels) > 1:
        newest: dict[uuid.UUID | str, L] = {}
        for label in sorted(labels, key=lambda label: label.id):
            who = label.annotator_id or label.value.get("annotator") or label.id
            if who not in newest or newest[who].version <= label.version:
                newest[who] = label
        labels = sorted(newest.values(), key=lambda label: label.id)
    return [label for label in labels if not label.value.get("retracted")]


def as_facts(label: Judgement) -> LabelFacts:
    """The label as formats know it; for an imported one, what its file said of who judged."""
    _, _, value, source, annotator, rationale, seconds, _, created_at = label
    name = str(annotator) if annotator else None
    if "annotator" in value or "origin" in value:
        name = name or value.get("annotator")
        source = value.get("origin", source)
        value = {part: said for part, said in value.items() if part not in ("annotator", "origin")}
    return LabelFacts(value, source, name, rationale, seconds, created_at.astimezone(UTC).isoformat())
