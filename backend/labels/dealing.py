"""Handing out what comes next in a task: never more than it wants, in its order, known answers mixed in unseen.

A call costs the same however many items and labels there are: places that want labels are read from an index in the
order of the task, from where the person stands, and `Share.low` remembers before which one they have done all.
"""

import hashlib
import uuid
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Float,
    Integer,
    Select,
    String,
    Uuid,
    all_,
    any_,
    bindparam,
    cast,
    func,
    literal_column,
    not_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert
from sqlalchemy.orm import Session, aliased

from backend.datasets.models import Item
from backend.labels.leases import Held, Stand, Where, done, hold, room
from backend.labels.models import Lease
from backend.tasks.models import Order, Place, Share, Task

LAST = uuid.UUID(int=2**128 - 1)
END = (float("inf"), LAST)
BEGINNING = (float("-inf"), uuid.UUID(int=0))
TASK, USER = bindparam("task", type_=Uuid), bindparam("user", type_=Uuid)
PASSED = all_(bindparam("passed", type_=ARRAY(Uuid)))
FREE = Place.open & room(bindparam("overlap"), USER)
WHERE = tuple_(Place.rank, Place.item_id)
START, LOW = (
    tuple_(bindparam(f"{name}_rank", type_=Float), bindparam(f"{name}_item", type_=Uuid)) for name in ("start", "low")
)
RULES: dict[str, ColumnElement[bool]] = {
    "free": FREE,
    "still asked": Place.gold | FREE,
    "known": Place.gold.is_(True),
    "not known": not_(Place.gold),
    "held": Place.item_id == any_(bindparam("held", type_=ARRAY(Uuid))),
    "from start": WHERE >= START,
    "before start": WHERE < START,
    "from low": WHERE >= LOW,
}
Rule = Literal["free", "still asked", "known", "not known", "held", "from start", "before start", "from low"]
"""What places must meet, by a name: the statements of them are written once, as writing one takes longer than asking
it."""
HELD = select(func.array_agg(aggregate_order_by(Lease.item_id, Lease.number, Lease.id))).where(
    Lease.annotator_id == USER, Lease.expires_at > func.now(), Lease.task_id == TASK, Lease.item_id != PASSED
)
AS_SEEN = aliased(Share)
SHARE = (
    select(Share.at_rank, Share.at_item, Share.low_rank, Share.low_item, Share.dealt)
    .add_columns(
        select(AS_SEEN.dealt).where(AS_SEEN.task_id == TASK, AS_SEEN.user_id == USER).scalar_subquery(),
        HELD.scalar_subquery(),
    )
    .where(Share.task_id == TASK, Share.user_id == USER)
    .with_for_update(key_share=True, of=Share)
)
"""Where a person stands, and what they hold.  Had it to wait for their other request, the share is what that has left,
and all else what was there before: then they were dealt more cards than it has seen, and what they hold is asked again.
"""


class Asking(NamedTuple):
    """Who asks for items of which task, and the items that they have."""

    task: Task
    user_id: uuid.UUID
    passed: set[uuid.UUID]

    def named(self, **more: Any) -> dict[str, Any]:
        """What stands in the statements."""
        task = {"task": self.task.id, "user": self.user_id, "overlap": self.task.overlap}
        return {**task, "passed": list(self.passed), **more}


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
    session.flush()
    asking = Asking(task, user_id, set(holding))
    stand, held = _share(session, asking)
    if at is not None and not (at.gold and task.gold_share):
        stand.at = at.rank, at.item_id
    return hold(session, task, user_id, _dealt(session, asking, stand, held, n), stand)


def _dealt(session: Session, asking: Asking, stand: Stand, ids: Sequence[uuid.UUID], n: int) -> list[Item]:
    """What is dealt: of the items that the person holds already, by their ids, and then others."""
    task, passed = asking.task, asking.passed
    held = _again(session, asking, ids, n)
    wanted = n - len(held)
    if wanted <= 0:
        return held
    passed.update(item.id for item in held)
    dealt = stand.dealt + len(held)
    lots = [_by_lot(task, asking.user_id, dealt + place) < task.gold_share for place in range(wanted)]
    items = _onward(session, asking, lots.count(False), stand)
    passed.update(item.id for item in items)
    if len(items) == lots.count(False):
        golds = _golds(session, asking, lots.count(True), still_open=False)
        passed.update(item.id for item in golds)
        items += _onward(session, asking, wanted - len(items) - len(golds), stand)
        items = _mixed(items, golds, lots)
    if len(items) < wanted and task.gold_share:
        items += _golds(session, asking, wanted - len(items), still_open=True)
    return held + items


def _mixed(items: list[Item], golds: list[Item], lots: Sequence[bool]) -> list[Item]:
    """Items with known answers in the places that the lot gave them."""
    mixed: list[Item] = []
    for gold in lots:
        if source := (golds or items) if gold else (items or golds):
            mixed.append(source.pop(0))
    return mixed


def _share(session: Session, asking: Asking) -> tuple[Stand, Sequence[uuid.UUID]]:
    """Where the person stands, locked: their requests come one after the other; and the items that they hold already,
    as they were dealt, less those that are passed over."""
    named = asking.named()
    found = session.execute(SHARE, named).first()
    if found is None:
        share = {"task_id": asking.task.id, "user_id": asking.user_id}
        session.execute(insert(Share).values(**share).on_conflict_do_nothing())
        found = session.execute(SHARE, named).one()
    at_rank, at_item, low_rank, low_item, dealt, seen, held = found
    if seen != dealt:
        held = session.scalar(HELD, named)
    return Stand(_at(at_rank, at_item), _at(low_rank, low_item), dealt), held or []


def _by_lot(task: Task, user_id: uuid.UUID, what: object) -> float:
    """A number from 0 to 1, always the same for the same person and thing."""
    drawn = hashlib.blake2b(f"{task.seed}:{task.id}:{user_id}:{what}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn) / 2**64


def _again(session: Session, asking: Asking, ids: Sequence[uuid.UUID], n: int) -> list[Item]:
    """What the person holds already, as it was dealt, unless it has all its labels by now."""
    found = _locked(session, asking, n, ("held", "still asked"), {"held": ids}) if ids else []
    items = {item.id: item for item in found}
    return [items[id] for id in ids if id in items]


def _onward(session: Session, asking: Asking, n: int, stand: Stand) -> list[Item]:
    """Places that want labels, in the order of the task: from where the person stands on, then those before."""
    if n <= 0:
        return []
    among: tuple[Rule, ...] = ("free", "not known") if asking.task.gold_share else ("free",)
    named: dict[str, Any] = {}
    found: list[Item] = []
    if asking.task.order is not Order.uncertainty and stand.at is not None:
        named["start_rank"], named["start_item"] = stand.at
        found = _locked(session, asking, n, (*among, "from start"), named)
        among = (*among, "before start")
    if len(found) < n:
        named["low_rank"], named["low_item"] = _low(session, asking, stand)
        found += _locked(session, asking, n - len(found), (*among, "from low"), named)
    return found


def _low(session: Session, asking: Asking, stand: Stand) -> Where:
    """The first place that wants labels and that the person has not done; remembered."""
    known = stand.low or BEGINNING
    row = session.execute(_first(asking.task.standing), asking.named(low_rank=known[0], low_item=known[1])).first()
    stand.low = (row[0], row[1]) if row else END
    return stand.low


@cache
def _first(standing: bool) -> Select[float, uuid.UUID]:
    undone = not_(done(TASK, USER, standing=standing))
    query = select(Place.rank, Place.item_id).where(Place.task_id == TASK, Place.open, RULES["from low"], undone)
    return query.order_by(Place.rank, Place.item_id).limit(1)


def _at(rank: float | None, item_id: uuid.UUID | None) -> Where | None:
    return None if rank is None or item_id is None else (rank, item_id)


def _golds(session: Session, asking: Asking, n: int, *, still_open: bool) -> list[Item]:
    """Items with known answers that the person has not done, by lot; also those that have all their labels."""
    if n <= 0:
        return []
    return _locked(session, asking, n, ("known", "free") if still_open else ("known",), {})


def _locked(session: Session, asking: Asking, n: int, rules: tuple[Rule, ...], named: Mapping[str, Any]) -> list[Item]:
    """Up to `n` items of such places, locked, passing over those that somebody else has locked."""
    asking = asking._replace(passed=set(asking.passed))
    standing = asking.task.standing
    found: list[Item] = []
    while len(found) < n:
        pick, look = _statements(rules, standing, n - len(found))
        ids = session.scalars(pick, asking.named(**named)).all()
        if not ids:
            break
        # Another transaction may have leased or labelled one and let its lock go between our snapshot and our lock;
        # now that the rows are ours, a second look is certain.
        found += session.scalars(look, asking.named(**named, ids=ids, id=ids[0])).all()
        asking.passed.update(ids)
    return found


@cache
def _statements(rules: tuple[Rule, ...], standing: bool, n: int) -> tuple[Select[uuid.UUID], Select[Item]]:
    """What picks `n` places under these rules, passing over locked ones, and what looks at those again; known answers
    come in an order by lot.  The number is written out, and one id is no array: Postgres keeps a plan for that, not for
    any number."""
    undone = not_(done(TASK, USER, standing=standing)), Place.item_id != PASSED
    among = Place.task_id == TASK, *(RULES[name] for name in rules), *undone
    lot = [func.md5(cast(Place.item_id, String) + cast(USER, String))] if "known" in rules else []
    by = [*lot, Place.rank, Place.item_id]
    pick = select(Place.item_id).where(*among).order_by(*by).limit(literal_column(str(n), Integer))
    chosen = Item.id == any_(bindparam("ids", type_=ARRAY(Uuid))) if n > 1 else Item.id == bindparam("id", type_=Uuid)
    look = select(Item).join(Place, Place.item_id == Item.id).where(chosen, *among, Item.withdrawn_at.is_(None))
    return pick.with_for_update(key_share=True, skip_locked=True, of=Place), look.order_by(*by)
