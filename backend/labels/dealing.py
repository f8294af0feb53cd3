"""Handing out what comes next in a task: never more than it wants, in its order, known answers mixed in unseen.

A call costs the same however many items and labels there are: places that want labels are read from an index in the
order of the task, from where the person stands, and `Share.low` remembers before which one they have done all.
"""

import hashlib
import uuid
from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, String, cast, func, not_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from backend.datasets.models import Item
from backend.labels.leases import Held, done, hold, room
from backend.labels.models import Lease
from backend.tasks import places
from backend.tasks.models import Order, Place, Share, Task

LAST = uuid.UUID(int=2**128 - 1)
END = (float("inf"), LAST)
Where = tuple[float, uuid.UUID]


def take(
    session: Session,
    task: Task,
    user_id: uuid.UUID,
    n: int,
    holding: Collection[uuid.UUID],
    *,
    at: Place | None = None,
) -> list[Held]:
    """The next `n` items of the task for the person, leased; fewer when fewer are free. None that they have done.

    First what they hold already, so that a reload shows the same cards; then on from their last label (of the place
    `at`, if it is new) and round: what they skipped lies behind it. Known answers come from elsewhere.
    """
    share = _share(session, task, user_id)
    session.flush()
    with session.no_autoflush:  # where the person stands is written once
        return _dealt(session, task, share, n, set(holding), at)


def _dealt(session: Session, task: Task, share: Share, n: int, passed: set[uuid.UUID], at: Place | None) -> list[Held]:
    user_id = share.user_id
    if at is not None and not (at.gold and task.gold_share):
        share.at_rank, share.at_item = at.rank, at.item_id
    dealt = hold(session, task, user_id, _again(session, task, user_id, n, passed), share)
    wanted = n - len(dealt)
    if wanted <= 0:
        return dealt
    passed.update(held.item.id for held in dealt)
    lots = [_by_lot(task, user_id, share.dealt + place) < task.gold_share for place in range(wanted)]
    items = _onward(session, task, user_id, lots.count(False), passed, share)
    passed.update(item.id for item in items)
    if len(items) == lots.count(False):
        golds = _golds(session, task, user_id, lots.count(True), passed, still_open=False)
        passed.update(item.id for item in golds)
        items += _onward(session, task, user_id, wanted - len(items) - len(golds), passed, share)
        items = _mixed(items, golds, lots)
    if len(items) < wanted and task.gold_share:
        items += _golds(session, task, user_id, wanted - len(items), passed, still_open=True)
    return dealt + hold(session, task, user_id, items, share)


def _mixed(items: list[Item], golds: list[Item], lots: Sequence[bool]) -> list[Item]:
    """Items with known answers in the places that the lot gave them."""
    mixed: list[Item] = []
    for gold in lots:
        if source := (golds or items) if gold else (items or golds):
            mixed.append(source.pop(0))
    return mixed


def _share(session: Session, task: Task, user_id: uuid.UUID) -> Share:
    """Where the person stands, locked: their requests come one after the other."""
    query = select(Share).where(Share.task_id == task.id, Share.user_id == user_id)
    locked = query.with_for_update(key_share=True)
    found = session.scalars(locked, execution_options={"populate_existing": True}).first()
    if found is None:
        session.execute(insert(Share).values(task_id=task.id, user_id=user_id).on_conflict_do_nothing())
        found = session.scalars(locked).one()
    return found


def _by_lot(task: Task, user_id: uuid.UUID, what: object) -> float:
    """A number from 0 to 1, always the same for the same person and thing."""
    drawn = hashlib.blake2b(f"{task.seed}:{task.id}:{user_id}:{what}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn) / 2**64


def _again(session: Session, task: Task, user_id: uuid.UUID, n: int, passed: Collection[uuid.UUID]) -> list[Item]:
    """What the person holds already, as it was dealt, unless it has all its labels by now."""
    held = select(Lease.item_id).where(
        Lease.annotator_id == user_id,
        Lease.expires_at > func.now(),
        Lease.task_id == task.id,
        Lease.item_id.not_in(passed),
    )
    ids = session.scalars(held.order_by(Lease.number, Lease.id)).all()
    wanted = Place.item_id.in_(ids), Place.gold | _free(task, user_id), not_(done(task, user_id))
    items = {item.id: item for item in _locked(session, task, n, *wanted)} if ids else {}
    return [items[id] for id in ids if id in items]


def _onward(
    session: Session, task: Task, user_id: uuid.UUID, n: int, passed: Collection[uuid.UUID], share: Share
) -> list[Item]:
    """Places that want labels, in the order of the task: from where the person stands on, then those before."""
    if n <= 0:
        return []
    among: list[ColumnElement[bool]] = [
        _free(task, user_id),
        not_(done(task, user_id)),
        Place.item_id.not_in(passed),
    ]
    if task.gold_share:
        among.append(~Place.gold)
    where = tuple_(Place.rank, Place.item_id)
    found: list[Item] = []
    start = _at(share.at_rank, share.at_item)
    if task.order is not Order.uncertainty and start is not None:
        found = _locked(session, task, n, *among, where >= places.at(*start))
        among.append(where < places.at(*start))
    if len(found) < n:
        low = _low(session, task, user_id, share)
        found += _locked(session, task, n - len(found), *among, where >= places.at(*low))
    return found


def _low(session: Session, task: Task, user_id: uuid.UUID, share: Share) -> Where:
    """The first place that wants labels and that the person has not done; remembered."""
    known = _at(share.low_rank, share.low_item) or (float("-inf"), uuid.UUID(int=0))
    mine = Place.task_id == task.id, Place.open, tuple_(Place.rank, Place.item_id) >= places.at(*known)
    query = select(Place.rank, Place.item_id).where(*mine, not_(done(task, user_id)))
    row = session.execute(query.order_by(Place.rank, Place.item_id).limit(1)).first()
    low: Where = (row[0], row[1]) if row else END
    share.low_rank, share.low_item = low
    return low


def _at(rank: float | None, item_id: uuid.UUID | None) -> Where | None:
    return None if rank is None or item_id is None else (rank, item_id)


def _golds(
    session: Session, task: Task, user_id: uuid.UUID, n: int, passed: Collection[uuid.UUID], *, still_open: bool
) -> list[Item]:
    """Items with known answers that the person has not done, by lot; also those that have all their labels."""
    if n <= 0:
        return []
    among: list[ColumnElement[bool]] = [Place.gold.is_(True), not_(done(task, user_id)), Place.item_id.not_in(passed)]
    if still_open:
        among.append(_free(task, user_id))
    return _locked(session, task, n, *among, order=[func.md5(cast(Place.item_id, String) + str(user_id))])


def _free(task: Task, user_id: uuid.UUID) -> ColumnElement[bool]:
    return Place.open & room(task, user_id)


def _locked(
    session: Session,
    task: Task,
    n: int,
    *among: ColumnElement[bool],
    order: Sequence[ColumnElement[str]] = (),
) -> list[Item]:
    """Up to `n` items of such places, locked, passing over those that somebody else has locked."""
    by = [*order, Place.rank, Place.item_id]
    found: list[Item] = []
    passed: set[uuid.UUID] = set()
    while len(found) < n:
        free = Place.task_id == task.id, *among, Place.item_id.not_in(passed)
        query = select(Place.item_id).where(*free).order_by(*by).limit(n - len(found))
        ids = session.scalars(query.with_for_update(key_share=True, skip_locked=True, of=Place)).all()
        if not ids:
            break
        # Another transaction may have leased or labelled one and let its lock go between our snapshot and our lock;
        # now that the rows are ours, a second look is certain.
        again = select(Item).join(Place, Place.item_id == Item.id).where(Item.id.in_(ids), *free)
        found += session.scalars(again.where(Item.withdrawn_at.is_(None)).order_by(*by)).all()
        passed.update(ids)
    return found
