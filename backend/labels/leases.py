"""Leases: an item is handed to a person for ten minutes that the browser renews, and counts as a label till then."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, exists, false, func, not_, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from backend.datasets.models import Item
from backend.errors import Conflict, NotFound
from backend.labels.caller import Caller
from backend.labels.models import Label, LabelSource, Lease
from backend.tasks import places
from backend.tasks import service as tasks
from backend.tasks.ending import refuse_ended
from backend.tasks.models import Place, Share, Task

LEASE = timedelta(minutes=10)


class LeaseLost(Conflict):
    title = "Lease lost"


class NotHandedOut(Conflict):
    title = "Not handed out"


class SomebodyElses(Conflict):
    title = "Somebody else's lease"


class Withdrawn(Conflict):
    title = "Withdrawn"


class Held(NamedTuple):
    """An item and the lease that its annotator has on it."""

    item: Item
    lease: Lease


def room(task: Task, user_id: uuid.UUID) -> ColumnElement[bool]:
    """The place wants more labels than others have leased it for."""
    others = select(func.count()).where(
        Lease.item_id == Place.item_id,
        Lease.task_id == Place.task_id,
        Lease.annotator_id != user_id,
        Lease.expires_at > func.now(),
    )
    return Place.taken + others.correlate(Place).scalar_subquery() < func.coalesce(Place.wants, task.overlap)


def in_task(task: Task) -> ColumnElement[bool]:
    """A label answers the task; what people said outside of tasks answers the standing one."""
    outside = and_(Label.task_id.is_(None), Label.source != LabelSource.adjudication)
    return or_(Label.task_id == task.id, outside if task.standing else false())


def done(task: Task, user_id: uuid.UUID) -> ColumnElement[bool]:
    """The person has judged or skipped the item of a place, and has not taken it back."""
    own = Label.item_id == Place.item_id, Label.annotator_id == user_id
    newest = select(not_(Label.value.has_key("retracted"))).where(*own, in_task(task))
    newest = newest.order_by(Label.version.desc()).limit(1)
    return func.coalesce(newest.correlate(Place).scalar_subquery(), false())


def is_free(session: Session, task: Task, user_id: uuid.UUID, item_id: uuid.UUID) -> bool:
    """Whether the person may be handed the item, whose place the caller has locked: others hold fewer than the task
    wants; a known answer is asked of everybody."""
    mine = Place.task_id == task.id, Place.item_id == item_id
    return bool(session.scalar(select(exists().where(*mine, Place.gold | (Place.open & room(task, user_id))))))


def hold(session: Session, task: Task, user_id: uuid.UUID, items: Sequence[Item], share: Share | None) -> list[Held]:
    """Lease the items to the person from now on. The caller has locked their places; `share` counts what is dealt."""
    if not items:
        return []
    dealt = share.dealt if share else 0
    rows = [
        {
            "item_id": item.id,
            "task_id": task.id,
            "annotator_id": user_id,
            "project_id": item.project_id,
            "number": dealt + place,
            "expires_at": func.now() + LEASE,
        }
        for place, item in enumerate(items)
    ]
    written = insert(Lease).values(rows)
    written = written.on_conflict_do_update(
        index_elements=[Lease.item_id, Lease.task_id, Lease.annotator_id],
        set_={"expires_at": written.excluded.expires_at},
    )
    leases = session.scalars(written.returning(Lease), execution_options={"populate_existing": True}).all()
    by_item = {lease.item_id: lease for lease in leases}
    if share:
        share.dealt = dealt + len(items)
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
    wanted = Place.gold | and_(Place.open, or_(Lease.expires_at > func.now(), room(task, user_id)))
    still = select(Item).join(Place, Place.item_id == Item.id).join(Lease, Lease.item_id == Item.id)
    still = still.where(Place.task_id == task.id, Lease.id == lease.id)
    item = session.scalars(still.where(wanted, not_(done(task, user_id)))).first()
    if item is None:
        raise LeaseLost("This went to somebody else meanwhile.", remedy="Go on with the next one.")
    return hold(session, task, user_id, [item], None)[0].lease


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
