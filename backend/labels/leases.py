"""Leases: an item is handed to a person for ten minutes that the browser renews, and counts as a label till then."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import (
    ARRAY,
    BindParameter,
    Boolean,
    ColumnElement,
    Float,
    Integer,
    Uuid,
    and_,
    bindparam,
    exists,
    false,
    func,
    literal_column,
    not_,
    or_,
    select,
    text,
)
from sqlalchemy.orm import Session

from backend.datasets.models import Item
from backend.errors import Conflict, NotFound
from backend.labels.caller import Caller
from backend.labels.models import Label, LabelSource, Lease
from backend.tasks import places
from backend.tasks import service as tasks
from backend.tasks.ending import refuse_ended
from backend.tasks.models import Place, Task

LEASE = timedelta(minutes=10)


class LeaseLost(Conflict):
    title = "Lease lost"


class NotHandedOut(Conflict):
    title = "Not handed out"


class SomebodyElses(Conflict):
    title = "Somebody else's lease"


class Withdrawn(Conflict):
    title = "Withdrawn"


Id = uuid.UUID | BindParameter[uuid.UUID]
Number = int | BindParameter[int]
"""A value, or where it stands in a statement that is written once and asked often."""
Where = tuple[float, uuid.UUID]
NOWHERE = None, None
HOLD = select(Lease).from_statement(
    text("""
WITH stood AS (
    UPDATE shares SET dealt = CAST(:dealt AS int) + cardinality(CAST(:items AS uuid[])),
        at_rank = :at_rank, at_item = :at_item, low_rank = :low_rank, low_item = :low_item
    WHERE :stands AND task_id = :task AND user_id = :user
)
INSERT INTO leases (item_id, task_id, annotator_id, project_id, number, expires_at)
SELECT item, :task, :user, :project, CAST(:dealt AS int) + place - 1, now() + :lasting
FROM unnest(CAST(:items AS uuid[])) WITH ORDINALITY AS handed (item, place)
ON CONFLICT (item_id, task_id, annotator_id) DO UPDATE SET expires_at = excluded.expires_at
RETURNING *
""").bindparams(
        bindparam("lasting", LEASE),
        bindparam("items", type_=ARRAY(Uuid)),
        *(bindparam(name, type_=Uuid) for name in ("task", "user", "project", "at_item", "low_item")),
        *(bindparam(name, type_=Float) for name in ("at_rank", "low_rank")),
        bindparam("stands", type_=Boolean),
    )
)


@dataclass
class Stand:
    """Where a person stands in a task, whose share is locked: the place of their last label, the first one that they
    may have left, and how many cards they were handed."""

    at: Where | None
    low: Where | None
    dealt: int


class Held(NamedTuple):
    """An item and the lease that its annotator has on it."""

    item: Item
    lease: Lease


def room(overlap: Number, user_id: Id) -> ColumnElement[bool]:
    """The place wants more labels than others have leased it for.

    Leases end by the clock of this statement, not of its transaction: that may have begun before somebody's whose label
    it has waited for, and would count their lease beside the label.
    """
    others = select(func.count()).where(
        Lease.item_id == Place.item_id,
        Lease.task_id == Place.task_id,
        Lease.annotator_id != user_id,
        Lease.expires_at > func.statement_timestamp(),
    )
    return Place.taken + others.correlate(Place).scalar_subquery() < func.coalesce(Place.wants, overlap)


def in_task(task_id: Id, *, standing: bool) -> ColumnElement[bool]:
    """A label answers the task; what people said outside of tasks answers the standing one."""
    outside = and_(Label.task_id.is_(None), Label.source != LabelSource.adjudication)
    return or_(Label.task_id == task_id, outside if standing else false())


def done(task_id: Id, user_id: Id, *, standing: bool) -> ColumnElement[bool]:
    """The person has judged or skipped the item of a place, and has not taken it back."""
    own = Label.item_id == Place.item_id, Label.annotator_id == user_id
    newest = select(not_(Label.value.has_key("retracted"))).where(*own, in_task(task_id, standing=standing))
    newest = newest.order_by(Label.version.desc()).limit(literal_column("1", Integer))
    return func.coalesce(newest.correlate(Place).scalar_subquery(), false())


def is_free(session: Session, task: Task, user_id: uuid.UUID, item_id: uuid.UUID) -> bool:
    """Whether the person may be handed the item, whose place the caller has locked: others hold fewer than the task
    wants; a known answer is asked of everybody."""
    mine = Place.task_id == task.id, Place.item_id == item_id
    return bool(session.scalar(select(exists().where(*mine, Place.gold | (Place.open & room(task.overlap, user_id))))))


def hold(
    session: Session, task: Task, user_id: uuid.UUID, items: Sequence[Item], stand: Stand | None = None
) -> list[Held]:
    """Lease the items to the person from now on; `stand`, if given, counts what is dealt and is stored with it.  The
    caller has locked their places, and the person's share."""
    if not items and stand is None:
        return []
    at, low = (stand.at or NOWHERE, stand.low or NOWHERE) if stand else (NOWHERE, NOWHERE)
    named = {
        "task": task.id,
        "user": user_id,
        "project": task.project_id,
        "items": [item.id for item in items],
        "stands": stand is not None,
        "dealt": stand.dealt if stand else 0,
        "at_rank": at[0],
        "at_item": at[1],
        "low_rank": low[0],
        "low_item": low[1],
    }
    leases = session.scalars(HOLD, named, execution_options={"populate_existing": True}).all()
    by_item = {lease.item_id: lease for lease in leases}
    if stand:
        stand.dealt += len(items)
    return [Held(item, by_item[item.id]) for item in items]


def find(session: Session, project_id: uuid.UUID, user_id: uuid.UUID, token: uuid.UUID) -> Lease:
    """The person's own lease with this token."""
    own = Lease.token == token, Lease.annotator_id == user_id, Lease.project_id == project_id
    found = session.scalars(select(Lease).where(*own)).first()
    if found is None:
        raise NotFound.of("lease")
    return found


def of_item(session: Session, item: Item, user_id: uuid.UUID, token: uuid.UUID) -> Lease:
    """The lease that the person has, or had, on the item.  Raises NotHandedOut, SomebodyElses."""
    found = session.scalars(select(Lease).where(Lease.token == token)).first()
    if found is None or found.item_id != item.id:
        raise NotHandedOut("This was not handed to you.", field="lease", remedy="Ask for cards, then label them.")
    if found.annotator_id != user_id:
        raise SomebodyElses(
            "This was handed to somebody else.", field="lease", remedy="Sign in as whoever asked for this card."
        )
    return found


def renew(session: Session, caller: Caller, token: uuid.UUID) -> Lease:
    """Ten minutes more from now, unless the item has all its labels, or the lease ran out and others hold it.

    Raises NotFound, NotYours, Withdrawn, LeaseLost, TaskClosed, DeadlinePassed.
    """
    user_id = caller.user.id
    lease = find(session, caller.project_id, user_id, token)
    places.lock(session, lease.task_id, lease.item_id)
    task = session.get_one(Task, lease.task_id)
    tasks.refuse_stranger(session, caller, task)
    refuse_ended(task)
    refuse_withdrawn(session.get_one(Item, lease.item_id))
    wanted = Place.gold | and_(Place.open, or_(Lease.expires_at > func.now(), room(task.overlap, user_id)))
    still = select(Item).join(Place, Place.item_id == Item.id).join(Lease, Lease.item_id == Item.id)
    still = still.where(Place.task_id == task.id, Lease.id == lease.id)
    item = session.scalars(still.where(wanted, not_(done(task.id, user_id, standing=task.standing)))).first()
    if item is None:
        raise LeaseLost("This went to somebody else meanwhile.", remedy="Go on with the next one.")
    return hold(session, task, user_id, [item])[0].lease


def withdrawn(session: Session, task: Task, user_id: uuid.UUID) -> Sequence[uuid.UUID]:
    """The items that the person was handed in the task, not long ago, and that were withdrawn."""
    held = Lease.annotator_id == user_id, Lease.expires_at > func.now() - LEASE, Lease.task_id == task.id
    query = select(Lease.item_id).join(Item, Item.id == Lease.item_id)
    return session.scalars(query.where(*held, Item.withdrawn_at.is_not(None))).all()


def release(session: Session, project_id: uuid.UUID, user_id: uuid.UUID, token: uuid.UUID) -> None:
    """Afterwards the item is free for others."""
    lease = find(session, project_id, user_id, token)
    places.lock(session, lease.task_id, lease.item_id)
    lease.expires_at = func.now()


def lock(session: Session, item_id: uuid.UUID, project_id: uuid.UUID | None = None) -> Item:
    """The item, locked against everybody who would label it at the same moment.  Raises NotFound for one that is
    missing, or not of the project."""
    query = select(Item).where(Item.id == item_id).with_for_update(key_share=True)
    item = session.scalars(query, execution_options={"populate_existing": True}).first()
    if item is None or project_id not in (None, item.project_id):
        raise NotFound.of("item")
    return item


def refuse_withdrawn(item: Item) -> None:
    """Raises Withdrawn."""
    if item.withdrawn_at is not None:
        raise Withdrawn("This was withdrawn meanwhile: it needs no label any more.", remedy="Go on with the next one.")
