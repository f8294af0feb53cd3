"""Which labels of an item count: of each annotator the newest, unless it was taken back."""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, String, cast, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from alignment.formats import LabelFacts
from alignment.formats.canonical import LabelOrigin
from backend.datasets.models import Item
from backend.labels.models import Label


def annotator() -> ColumnElement[str]:
    """Who judged: a person here, a named annotator of an imported file, or somebody unnamed (each label alone)."""
    return func.coalesce(cast(Label.annotator_id, String), Label.value["annotator"].astext, cast(Label.id, String))


def current(
    session: Session, item_ids: Sequence[uuid.UUID], until: uuid.UUID | None = None
) -> dict[uuid.UUID, list[Label]]:
    """The labels that count of each item, oldest first; with `until`, as they were when that label was the newest."""
    who = annotator()
    query = (
        select(Label)
        .where(Label.item_id.in_(item_ids))
        .ext(distinct_on(Label.item_id, who))
        .order_by(Label.item_id, who, Label.version.desc())
    )
    if until is not None:
        query = query.where(Label.id <= until)
    found: dict[uuid.UUID, list[Label]] = defaultdict(list)
    for label in session.scalars(query):
        if not label.value.get("retracted"):
            found[label.item_id].append(label)
    for labels in found.values():
        labels.sort(key=lambda label: label.id)
    return found


def labelled_items(dataset_ids: Sequence[uuid.UUID]) -> Select[Any]:
    """Per dataset the number of items that somebody has judged (skips and labels taken back aside)."""
    who = annotator()
    newest = (
        select(Item.dataset_id, Label.item_id, Label.value)
        .join(Item, Item.id == Label.item_id)
        .where(Item.dataset_id.in_(dataset_ids))
        .ext(distinct_on(Label.item_id, who))
        .order_by(Label.item_id, who, Label.version.desc())
        .subquery()
    )
    judged = ~newest.c.value.has_key("retracted") & ~newest.c.value.has_key("skip")
    return (
        select(newest.c.dataset_id, func.count(newest.c.item_id.distinct())).where(judged).group_by(newest.c.dataset_id)
    )


def sources(session: Session, dataset_id: uuid.UUID) -> dict[str, int]:
    """Number of labels of each source in a dataset, every version counted."""
    query = (
        select(Label.source, func.count())
        .join(Item, Item.id == Label.item_id)
        .where(Item.dataset_id == dataset_id)
        .group_by(Label.source)
    )
    return {row[0].value: row[1] for row in session.execute(query)}


def as_facts(label: Label) -> LabelFacts:
    """The label as formats know it; for an imported one, what its file said of who judged."""
    value = {name: part for name, part in label.value.items() if name not in ("annotator", "origin")}
    origin: LabelOrigin = label.value.get("origin", label.source.value)
    name = str(label.annotator_id) if label.annotator_id else label.value.get("annotator")
    return LabelFacts(value, origin, name, label.rationale, label.seconds)
