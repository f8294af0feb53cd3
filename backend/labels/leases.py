"""Handing items out: each to one annotator at a time, in order, for ten minutes that the browser renews."""

import uuid
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from backend.datasets.models import Item
from backend.errors import Conflict, NotFound
from backend.labels.models import Label, Lease
from backend.labels.queries import done_for

LEASE = timedelta(minutes=10)


class LeaseLost(Conflict):
    title = "Lease lost"


class Held(NamedTuple):
    """An item and the lease that its annotator has on it."""

    item: Item
    lease: Lease


def take(
    session: Session, user_id: uuid.UUID, dataset_id: uuid.UUID, n: int, holding: Collection[uuid.UUID]
) -> list[Held]:
    """The next `n` items for the person, leased; fewer when fewer are free. Never one that somebody else holds.

    By position, from the person's last label on and then from the start. Their own leased items come again, so a
    reload shows the same pair.
    """
    start = _where(session, user_id, dataset_id)
    taken: list[Held] = []
    for span in (Item.position >= start, Item.position < start):
        taken += _take(session, user_id, n - len(taken), Item.dataset_id == dataset_id, span, Item.id.not_in(holding))
    return taken


def _take(session: Session, user_id: uuid.UUID, n: int, *among: ColumnElement[bool]) -> list[Held]:
    taken: list[Held] = []
    passed: set[uuid.UUID] = set()
    while len(taken) < n:
        free = *among, Item.id.not_in(passed), ~done_for(user_id), ~_held_from(user_id)
        ids = session.scalars(
            select(Item.id)
            .where(*free)
            .order_by(Item.position, Item.id)
            .limit(n - len(taken))
            .with_for_update(key_share=True, skip_locked=True, of=Item)
        ).all()
        if not ids:
            break
        # Another transaction may have leased or labelled one and let its lock go between our snapshot and our lock;
        # now that the rows are ours, a second look is certain.
        items = session.scalars(select(Item).where(Item.id.in_(ids), *free).order_by(Item.position, Item.id)).all()
        taken += hold(session, user_id, items)
        passed.update(ids)
    return taken


def _where(session: Session, user_id: uuid.UUID, dataset_id: uuid.UUID) -> int:
    """The position of the person's last label in the dataset, 0 without one: what they skipped lies behind it."""
    last = (
        select(Item.position)
        .join(Label, Label.item_id == Item.id)
        .where(Label.dataset_id == dataset_id, Label.annotator_id == user_id)
        .order_by(Label.id.desc())
        .limit(1)
    )
    return session.scalar(last) or 0


def hold(session: Session, user_id: uuid.UUID, items: Sequence[Item]) -> list[Held]:
    """Lease the items to the person from now on. The caller has locked them."""
    if not items:
        return []
    rows = [
        {"item_id": item.id, "annotator_id": user_id, "project_id": item.project_id, "expires_at": func.now() + LEASE}
        for item in items
    ]
    written = insert(Lease).values(rows)
    written = written.on_conflict_do_update(
        index_elements=[Lease.item_id, Lease.annotator_id], set_={"expires_at": written.excluded.expires_at}
    )
    leases = session.scalars(written.returning(Lease), execution_options={"populate_existing": True}).all()
    by_item = {lease.item_id: lease for lease in leases}
    return [Held(item, by_item[item.id]) for item in items]


def find(session: Session, project_id: uuid.UUID, user_id: uuid.UUID, token: uuid.UUID) -> Lease:
    """The person's own lease with this token."""
    own = Lease.token == token, Lease.annotator_id == user_id, Lease.project_id == project_id
    found = session.scalars(select(Lease).where(*own)).first()
    if found is None:
        raise NotFound.of("lease")
    return found


def renew(session: Session, project_id: uuid.UUID, user_id: uuid.UUID, token: uuid.UUID) -> Lease:
    """Ten minutes more from now, unless the lease ran out and the item went to somebody else."""
    item = lock(
        session, find(session, project_id, user_id, token).item_id
    )  # the item before its leases, as everybody does
    gone = select(exists().where(Item.id == item.id, done_for(user_id) | _held_from(user_id)))
    if session.scalar(gone):
        raise LeaseLost("This pair went to somebody else meanwhile.", remedy="Go on with the next one.")
    return hold(session, user_id, [item])[0].lease


def release(session: Session, project_id: uuid.UUID, user_id: uuid.UUID, token: uuid.UUID) -> None:
    """Afterwards the item is free for others."""
    lease = find(session, project_id, user_id, token)
    lock(session, lease.item_id)
    lease.expires_at = func.now()


def lock(session: Session, item_id: uuid.UUID) -> Item:
    """The item, locked against everybody who would lease or label it at the same moment."""
    return session.scalars(select(Item).where(Item.id == item_id).with_for_update(key_share=True)).one()


def _held_from(user_id: uuid.UUID) -> ColumnElement[bool]:
    """Somebody else holds the item."""
    return exists().where(Lease.item_id == Item.id, Lease.annotator_id != user_id, Lease.expires_at > func.now())
