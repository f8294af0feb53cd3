"""What a label meets: its item, the lease and the place in the task, locked; and what is known under these locks.

Each is one statement that is written once: people who label wait for them every time.
"""

import uuid
from typing import NamedTuple

from sqlalchemy import Integer, Uuid, and_, bindparam, literal_column, select, true
from sqlalchemy.orm import Session

from backend.datasets.models import Item
from backend.labels import leases
from backend.labels.caller import Caller
from backend.labels.models import Label, Lease
from backend.labels.tallies import ALMOST, Seen
from backend.labels.voices import SPOKEN, Spoken
from backend.tasks import places
from backend.tasks.models import Place, Task
from backend.tasks.service import labelled_by
from backend.webhooks.outbox import LISTENED

ITEM, TASK, USER = (bindparam(name, type_=Uuid) for name in ("item", "task", "user"))
OWN = (
    Item.project_id == bindparam("project", type_=Uuid),
    Lease.token == bindparam("token", type_=Uuid),
    Lease.annotator_id == USER,
)
LOCK = (
    select(Item, Place, Lease)
    .join(Lease, Lease.item_id == Item.id)
    .join(Place, and_(Place.item_id == Item.id, Place.task_id == Lease.task_id))
    .where(Item.id == ITEM, *OWN)
    .with_for_update(key_share=True, of=(Item, Place))  # in this order
    .execution_options(populate_existing=True)
)
ONE, MOST = (literal_column(str(number), Integer) for number in (1, ALMOST))
MANY_OPEN = select(true()).where(Place.task_id == TASK, Place.open).limit(ONE).offset(MOST)
LOOK = (
    select(Task, labelled_by(USER), MANY_OPEN.scalar_subquery(), LISTENED, *SPOKEN)
    .outerjoin(Label, Label.item_id == ITEM)
    .where(Task.id == TASK)
    .execution_options(populate_existing=True)
)


class Met(NamedTuple):
    """An item that a person labels, its place in the task, and the lease by which they do."""

    item: Item
    place: Place
    lease: Lease


class Known(NamedTuple):
    """A task, whether the person may label in it, and what an item's labels say."""

    task: Task
    may_label: bool
    seen: Seen


def lock(session: Session, caller: Caller, item_id: uuid.UUID, token: uuid.UUID) -> Met:
    """The item that the person has, or had, by this lease; it and its place are locked, in this order.

    Raises NotFound, NotHandedOut, SomebodyElses.
    """
    own = {"project": caller.project_id, "token": token, "user": caller.user.id}
    row = session.execute(LOCK, {"item": item_id, **own}).first()
    if row is not None:
        return Met(*row)
    item = leases.lock(session, item_id, caller.project_id)
    lease = leases.of_item(session, item, caller.user.id, token)
    return Met(item, places.fill_one(session, lease.task_id, item), lease)


def look(session: Session, user_id: uuid.UUID, met: Met) -> Known:
    """What is known of an item that was just locked: whoever changed it, or its task, has done so by now."""
    named = {"item": met.item.id, "task": met.lease.task_id, "user": user_id, "project": met.item.project_id}
    rows = session.execute(LOOK, named).all()
    task, may_label, many_open, listened = rows[0][:4]
    spoken = [Spoken(*row[4:]) for row in rows if row[4] is not None]
    return Known(task, may_label, Seen(spoken, many_open=bool(many_open), listened=listened))
