"""Which labels of an item count: of each annotator the newest, unless it was taken back."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Row, Select, String, Uuid, any_, cast, func, literal, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from alignment.formats import LabelFacts
from alignment.formats.canonical import LabelOrigin
from backend.labels.models import Label


def annotator() -> ColumnElement[str]:
    """Who judged: a person here, a named annotator of an imported file, or somebody unnamed (each label alone)."""
    return func.coalesce(cast(Label.annotator_id, String), Label.value["annotator"].astext, cast(Label.id, String))


def current(
    session: Session, item_ids: Sequence[uuid.UUID], until: uuid.UUID | None = None
) -> dict[uuid.UUID, list[Label]]:
    """The labels that count of each item, oldest first; with `until`, as they were when that label was the newest."""
    return _by_item(session.scalars(_newest(select(Label), item_ids, until)))


def of_items(
    session: Session, item_ids: Sequence[uuid.UUID], until: uuid.UUID | None = None
) -> dict[uuid.UUID, list[Row[Any]]]:
    """The same as bare rows with what formats need, which costs a third: for walks through a whole dataset."""
    columns = (Label.id, Label.item_id, Label.value, Label.source, Label.annotator_id, Label.rationale, Label.seconds)
    return _by_item(session.execute(_newest(select(*columns, Label.created_at), item_ids, until)))


def _newest(query: Select[Any], item_ids: Sequence[uuid.UUID], until: uuid.UUID | None) -> Select[Any]:
    who = annotator()
    wanted = Label.item_id == any_(literal(list(item_ids), ARRAY(Uuid)))
    newest = query.where(wanted).ext(distinct_on(Label.item_id, who))
    newest = newest.order_by(Label.item_id, who, Label.version.desc())
    return newest if until is None else newest.where(Label.id <= until)


def _by_item(labels: Iterable[Any]) -> dict[uuid.UUID, list[Any]]:
    found: dict[uuid.UUID, list[Any]] = defaultdict(list)
    for label in labels:
        if not label.value.get("retracted"):
            found[label.item_id].append(label)
    for several in found.values():
        if len(several) > 1:
            several.sort(key=lambda label: label.id)
    return found


def as_facts(label: Label | Row[Any]) -> LabelFacts:
    """The label as formats know it; for an imported one, what its file said of who judged."""
    value = {name: part for name, part in label.value.items() if name not in ("annotator", "origin")}
    origin: LabelOrigin = label.value.get("origin", label.source.value)
    name = str(label.annotator_id) if label.annotator_id else label.value.get("annotator")
    return LabelFacts(value, origin, name, label.rationale, label.seconds, _judged_at(label))


def _judged_at(label: Label | Row[Any]) -> str:
    """When the label was made, as formats write it."""
    return label.created_at.astimezone(UTC).isoformat()
