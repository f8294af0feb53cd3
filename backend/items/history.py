"""What happened to an item, newest first: read from the rows that it left behind, a page of each kind at a time."""

import uuid
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import chain, islice
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from backend import paging
from backend.accounts.models import User
from backend.audit.models import AuditEvent
from backend.datasets.models import Item, Snapshot, SnapshotLabel
from backend.items.models import Withdrawal
from backend.items.schemas import EventKind, ItemEventOut
from backend.labels.cards import as_shown
from backend.labels.models import Label, LabelSource, Lease
from backend.tasks.models import Task

BY_SOURCE: dict[LabelSource, EventKind] = {
    LabelSource.imported: "imported",
    LabelSource.judge: "judged",
    LabelSource.vote: "voted",
    LabelSource.adjudication: "adjudicated",
}
GOLD: dict[str, EventKind] = {"set_gold": "gold_set", "remove_gold": "gold_removed"}


class Asked(NamedTuple):
    """Whose history, up to where, how much of it; of `own` the person's labels and cards only, and no names."""

    item: Item
    own: uuid.UUID | None
    before: uuid.UUID | None
    limit: int

    def after(self, key: InstrumentedAttribute[uuid.UUID]) -> list[ColumnElement[bool]]:
        return [] if self.before is None else [key < self.before]


def read(
    session: Session, item: Item, cursor: str | None, limit: int, own: uuid.UUID | None
) -> tuple[Sequence[ItemEventOut], str | None]:
    """A page of what happened, and the next page's cursor. Every event has the id of the row that tells of it, and ids
    sort by time. A person's own labels are as they saw them.  Raises BadCursor.
    """
    before = None if cursor is None else paging.uuid_in(cursor)
    asked = Asked(item, own, before, limit + 1)
    kinds = [_labels(session, asked), _leases(session, asked), _withdrawals(session, asked)]
    if own is None:
        kinds += [_golds(session, asked), _snapshots(session, asked)]
    newest = merge(*kinds, key=lambda event: event.id, reverse=True)
    source = (item.facts.get("meta") or {}).get("edit_of")
    # whatever its id, nothing was before it
    added = ItemEventOut(id=item.id, at=item.created_at, kind="edited" if source else "added")
    events = list(islice(chain(newest, [added]), limit + 1))
    return events[:limit], str(events[limit - 1].id) if len(events) > limit else None


def _labels(session: Session, asked: Asked) -> Iterator[ItemEventOut]:
    former = aliased(Label)
    same = former.item_id == Label.item_id, former.annotator_id == Label.annotator_id
    query = (
        select(Label, User.name, Task.name, former.value)
        .outerjoin(User, User.id == Label.annotator_id)
        .outerjoin(Task, Task.id == Label.task_id)
        .outerjoin(former, (former.version == Label.version - 1) & same[0] & same[1])
        .where(Label.item_id == asked.item.id, *asked.after(Label.id))
    )
    if asked.own is not None:
        query = query.where(Label.annotator_id == asked.own, Label.source != LabelSource.adjudication)
    for label, name, task, before in session.execute(query.order_by(Label.id.desc()).limit(asked.limit)):
        yield ItemEventOut(
            id=label.id,
            at=label.created_at,
            kind=_kind(label, before),
            by=name,
            by_id=label.annotator_id,
            source=label.source,
            task_id=label.task_id,
            task=task,
            value=_said(as_shown(label).value if asked.own else label.value),
            text=label.rationale or label.value.get("skip") or None,
            seconds=label.seconds,
            surplus=label.surplus and asked.own is None,
        )


def _kind(label: Label, before: dict[str, Any] | None) -> EventKind:
    if "retracted" in label.value:
        return "undone"
    if label.source in BY_SOURCE:
        return BY_SOURCE[label.source]
    if "skip" in label.value:
        return "skipped"
    return "labelled" if before is None or "retracted" in before or "skip" in before else "changed"


def _said(value: dict[str, Any]) -> dict[str, Any] | None:
    return None if "retracted" in value or "skip" in value else value


def _leases(session: Session, asked: Asked) -> Iterator[ItemEventOut]:
    """The first time that each person got it in a task: later times leave no row of their own."""
    query = (
        select(Lease, User.name, Task.name)
        .join(User, User.id == Lease.annotator_id)
        .join(Task, Task.id == Lease.task_id)
        .where(Lease.item_id == asked.item.id, *asked.after(Lease.id))
    )
    if asked.own is not None:
        query = query.where(Lease.annotator_id == asked.own)
    for lease, name, task in session.execute(query.order_by(Lease.id.desc()).limit(asked.limit)):
        who = {"by": name, "by_id": lease.annotator_id, "task_id": lease.task_id, "task": task}
        yield ItemEventOut(id=lease.id, at=lease.created_at, kind="leased", **who)


def _withdrawals(session: Session, asked: Asked) -> Iterator[ItemEventOut]:
    query = (
        select(Withdrawal, User.name)
        .outerjoin(User, User.id == Withdrawal.created_by)
        .where(Withdrawal.item_id == asked.item.id, *asked.after(Withdrawal.id))
    )
    for row, name in session.execute(query.order_by(Withdrawal.id.desc()).limit(asked.limit)):
        who = {"by": name, "by_id": row.created_by, "text": row.reason or None} if asked.own is None else {}
        yield ItemEventOut(id=row.id, at=row.created_at, kind="restored" if row.restored else "withdrawn", **who)


def _golds(session: Session, asked: Asked) -> Iterator[ItemEventOut]:
    """By the audit log, as a known answer that was taken away leaves no row."""
    about = AuditEvent.project_id == asked.item.project_id, AuditEvent.noun_id == asked.item.id
    query = (
        select(AuditEvent, User.name)
        .outerjoin(User, User.id == AuditEvent.user_id)
        .where(*about, AuditEvent.action.in_(GOLD), *asked.after(AuditEvent.id))
    )
    for event, name in session.execute(query.order_by(AuditEvent.id.desc()).limit(asked.limit)):
        yield ItemEventOut(id=event.id, at=event.created_at, kind=GOLD[event.action], by=name, by_id=event.user_id)


def _snapshots(session: Session, asked: Asked) -> Iterator[ItemEventOut]:
    """The snapshots in which a label of the item decided an example."""
    of_item = select(Label.id).where(Label.item_id == asked.item.id)
    among = select(SnapshotLabel.snapshot_id).where(SnapshotLabel.label_id.in_(of_item))
    query = select(Snapshot).where(Snapshot.id.in_(among), *asked.after(Snapshot.id))
    for row in session.scalars(query.order_by(Snapshot.id.desc()).limit(asked.limit)):
        yield ItemEventOut(id=row.id, at=row.created_at, kind="frozen", text=row.hash[:12], snapshot_id=row.id)
