"""Which labels of an item count: of each annotator one, the newest, and how they settled it, unless taken back."""

import uuid
from collections import defaultdict
from collections.abc import Container, Hashable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import orjson
from sqlalchemy import ARRAY, ColumnElement, String, Uuid, cast, func, literal, select
from sqlalchemy.orm import Session

from alignment.formats import LabelFacts
from alignment.formats.canonical import LabelOrigin
from backend.labels.models import Label, LabelSource
from backend.tasks.models import Task

L = TypeVar("L", Label, "Judgement")
K = TypeVar("K", bound=Hashable)


def annotator() -> ColumnElement[str]:
    """Who judged: a person here, a named annotator of an imported file, or somebody unnamed (each label alone)."""
    return func.coalesce(cast(Label.annotator_id, String), Label.value["annotator"].astext, cast(Label.id, String))


def current(session: Session, item_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Label]]:
    """The labels that count of each item, oldest first."""
    found: dict[uuid.UUID, list[Label]] = defaultdict(list)
    for label in session.scalars(select(Label).where(Label.item_id.in_(item_ids))):
        found[label.item_id].append(label)
    return _counting(session, found)


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
    surplus: bool = False
    aspects: dict[str, Any] | None = None
    task_id: uuid.UUID | None = None


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
    Label.surplus,
    Label.aspects,
    Label.task_id,
)


def of_items(
    session: Session, item_ids: Sequence[str], until: uuid.UUID | None = None, task_id: uuid.UUID | None = None
) -> dict[str, list[Judgement]]:
    """The labels that count of each item, for walks through a whole dataset; with `until`, as they were when that label
    was the newest; with `task_id`, of what people said in tasks what they said in this one (`in_one_task`)."""
    # a join, not "= ANY": Postgres would compare every label with every id where it does not know the ids beforehand
    wanted = (
        func.unnest(cast(literal(f"{{{','.join(item_ids)}}}", String), ARRAY(Uuid))).table_valued("id").render_derived()
    )
    query = select(*_COLUMNS).join(wanted, Label.item_id == wanted.c.id)
    if until is not None:
        query = query.where(Label.id <= until)
    if task_id is not None:
        query = query.where(in_one_task(task_id))
    rows: Iterable[Any] = session.execute(query)
    found: dict[str, list[Judgement]] = defaultdict(list)
    for id, item_id, value, *rest in rows:
        found[item_id].append(Judgement(id, item_id, orjson.loads(value), *rest))
    return _counting(session, found)


def in_one_task(task_id: uuid.UUID) -> ColumnElement[bool]:
    """The label was given in the task, or no task asked for it.  What people said outside of tasks answers the standing
    one, and so no other."""
    standing = select(Task.standing).where(Task.id == task_id).scalar_subquery()
    unasked = Label.task_id.is_(None) & ((Label.source != LabelSource.person) | standing)
    return (Label.task_id == task_id) | unasked


def _counting(session: Session, found: Mapping[K, list[L]]) -> dict[K, list[L]]:
    tasks = {label.task_id for labels in found.values() for label in labels} - {None}
    query = select(Task.id).where(Task.id.in_(tasks), Task.standing)
    standing = set(session.scalars(query)) if tasks else set()
    return {item: counting(labels, standing) for item, labels in found.items()}


def counting(labels: list[L], standing: Container[uuid.UUID | None]) -> list[L]:
    """Of an item's labels those that count, oldest first.

    What an annotator says in a task replaces what they said there before (in `standing` ones and outside of tasks is
    one place, settling the item another).  Of what stands of theirs in several tasks, the newest that judges counts.
    """
    if len(labels) > 1:
        newest: dict[tuple[Any, bool, uuid.UUID | None], L] = {}
        for label in sorted(labels, key=lambda label: label.id):
            who = label.annotator_id or label.value.get("annotator") or label.id
            settles = label.value.get("origin", label.source) == LabelSource.adjudication
            where = who, settles, None if label.task_id in standing else label.task_id
            if where not in newest or newest[where].version <= label.version:
                newest[where] = label
        one: dict[tuple[Any, bool], L] = {}
        for (who, settles, _), label in sorted(newest.items(), key=lambda item: (item[1].version, item[1].id)):
            if label.value.get("retracted"):
                continue
            if "skip" not in label.value or "skip" in one.get((who, settles), label).value:
                one[who, settles] = label
        labels = sorted(one.values(), key=lambda label: label.id)
    return [label for label in labels if not label.value.get("retracted")]


def as_facts(label: Judgement) -> LabelFacts:
    """The label as formats know it; for an imported one, what its file said of who judged.

    A ranking of two responses is the strength that it has.
    """
    _, _, value, source, annotator, rationale, seconds, _, created_at, surplus, aspects, _ = label
    name = str(annotator) if annotator else None
    if "annotator" in value or "origin" in value:
        name = name or value.get("annotator")
        source = value.get("origin", source)
        value = {part: said for part, said in value.items() if part not in ("annotator", "origin")}
    if sum(map(len, value.get("ranking", ()))) == 2:
        value = {"strength": 0 if len(value["ranking"]) == 1 else 1 if value["ranking"][0] == [0] else -1}
    at = created_at.astimezone(UTC).isoformat()
    return LabelFacts(value, source, name, rationale, seconds, at, surplus, aspects)
