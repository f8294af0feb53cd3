"""What every item stands at in a task: its place in the order, whether it wants more labels, and who has done what.

Where a transaction locks several of these, it does so in this order, so that no two wait for each other: that places
stay as they are, the dataset, items by id, their places, shares by person; who takes places passes over locked ones.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Result, exists, func, literal, select, text, tuple_, update
from sqlalchemy.orm import Session

from backend.datasets.models import Item
from backend.db import look_again
from backend.tasks.models import Order, Place, Share, Task
from backend.tasks.schemas import Assistance

FILLING = 0x46696C6C  # advisory lock key, "Fill"
RANKS = {
    (Order.sequential, False): "items.position",
    (Order.random, False): "('x' || substr(md5(:seed || ':' || items.id), 1, 13))::bit(52)::bigint",
    (Order.uncertainty, False): (
        "coalesce((SELECT margin FROM suggestions WHERE task_id = :task AND item_id = items.id),"
        " 1e12 + items.position)"  # those that nothing is suggested for come after the others
    ),
    (Order.sequential, True): "first_position",
    (Order.random, True): "('x' || substr(md5(:seed || ':' || items.prompt_hash), 1, 13))::bit(52)::bigint",
}
GROUPED = (
    "(SELECT *, min(position) OVER (PARTITION BY prompt_hash) AS first_position FROM items WHERE dataset_id = :dataset)"
)
GROUPED_ONE = """(
    SELECT *, (
        SELECT min(position + 0) FROM items AS same
        WHERE same.dataset_id = items.dataset_id AND same.prompt_hash = items.prompt_hash
    ) AS first_position FROM items
)"""  # for a single item, as the other looks through them all; by `+ 0` they are found by prompt, not by position
WANTS = """CASE WHEN items.created_at > :made AND items.facts #> '{meta,edit_of}' IS NOT NULL
    THEN (items.facts #>> '{meta,edit_of,task_id}' IS NOT DISTINCT FROM :task_id)::int END"""
FILL = """
WITH found AS (
    SELECT items.id, {rank} AS rank, items.withdrawn_at IS NULL AS kept, {wants} AS wants,
        EXISTS (SELECT 1 FROM golds WHERE item_id = items.id) AS gold
    FROM {source} AS items WHERE items.dataset_id = :dataset AND items.position BETWEEN :first AND :last
), filled AS (
    INSERT INTO places (task_id, item_id, rank, open, gold, wants)
    SELECT :task, id, rank, kept AND wants IS DISTINCT FROM 0, gold, wants FROM found
    ON CONFLICT DO NOTHING RETURNING item_id, wants
)
SELECT count(*) FROM filled JOIN items ON items.id = filled.item_id WHERE wants = 0 AND withdrawn_at IS NULL
"""
REORDER = """
UPDATE places SET rank = ranked.rank
FROM (SELECT items.id, ({rank})::float8 AS rank FROM {source} AS items WHERE items.dataset_id = :dataset) AS ranked
WHERE places.task_id = :task AND places.item_id = ranked.id AND places.rank IS DISTINCT FROM ranked.rank
"""
PRIORITIZE = text("""
UPDATE places SET rank = -given.priority
FROM unnest(CAST(:ids AS uuid[]), CAST(:priorities AS float8[])) AS given (id, priority)
WHERE places.task_id = :task AND places.item_id = given.id
""")
JUDGED_BEFORE = text("""
SELECT EXISTS (
    SELECT 1 FROM items JOIN labels ON labels.item_id = items.id
    WHERE items.dataset_id = :dataset AND items.position >= :start
    AND labels.annotator_id IS NOT NULL AND labels.task_id IS NULL
)
""")


class Said(NamedTuple):
    """What counts of a person's label in a task: whose it is, which version of theirs, what it says, and whether it
    came when the task had enough."""

    annotator_id: uuid.UUID
    version: int
    value: Mapping[str, Any]
    surplus: bool


class Standing(NamedTuple):
    """How an item stands in a task: labels that count, whether it has all and whether it wants more, who has judged it,
    who waits for others to, and who of these has skipped it."""

    taken: int
    done: bool
    open: bool
    given: frozenset[uuid.UUID]
    pending: frozenset[uuid.UUID]
    skipped: frozenset[uuid.UUID]


def wanted(task: Task, place: Place) -> int:
    """How many labels the task wants of the item."""
    return task.overlap if place.wants is None else place.wants


def standing(said: Iterable[Said], wanted: int, *, withdrawn: bool) -> Standing:
    """How an item stands that has these labels in a task and is to have so many: of each the newest version counts."""
    newest: dict[uuid.UUID, Said] = {}
    for one in said:
        if one.annotator_id not in newest or newest[one.annotator_id].version < one.version:
            newest[one.annotator_id] = one
    stand = [one for one in newest.values() if "retracted" not in one.value]
    given = [one for one in stand if "skip" not in one.value]
    taken = sum(not one.surplus for one in given)
    full = taken >= wanted
    wants = not full and not withdrawn
    passed = {one.annotator_id for one in stand if "skip" in one.value}
    judged = frozenset(one.annotator_id for one in given)
    pending = frozenset(judged | passed if wants else ())
    return Standing(taken, full and not withdrawn, wants, judged, pending, frozenset(passed if wants else ()))


def lock(session: Session, task_id: uuid.UUID, item_id: uuid.UUID) -> Place | None:
    """The item's place in the task, locked against everybody who would lease or label it at the same moment."""
    query = select(Place).where(Place.task_id == task_id, Place.item_id == item_id)
    return session.scalars(query.with_for_update(key_share=True), execution_options={"populate_existing": True}).first()


def wants(session: Session, task_id: uuid.UUID) -> bool:
    """Whether any item of the task wants more labels."""
    return bool(session.scalar(select(exists().where(Place.task_id == task_id, Place.open))))


def lock_all(session: Session, item_ids: Iterable[uuid.UUID]) -> Sequence[Place]:
    """The places of these items in every task, locked; the caller has locked the items."""
    query = select(Place).where(Place.item_id.in_(list(item_ids))).order_by(Place.item_id, Place.task_id)
    return session.scalars(query.with_for_update(key_share=True), execution_options={"populate_existing": True}).all()


def hold_off(session: Session, dataset_id: uuid.UUID) -> None:
    """Nobody fills the places of the dataset till the transaction ends: what it changes of items, and of the places
    that they have, would be missed by those that are just being made.  The caller has locked nothing yet."""
    session.execute(select(func.pg_advisory_xact_lock_shared(FILLING, func.hashtext(str(dataset_id)))))


def fill(session: Session, task: Task) -> None:
    """Afterwards every item of the dataset has a place.  The caller has locked nothing yet.

    Where these are many, Postgres is told of them at once: it would take the task for a small one till it next counts,
    and sort all its places for each card.
    """
    last = session.scalar(
        select(Item.position).where(Item.dataset_id == task.dataset_id).order_by(Item.position.desc()).limit(1)
    )
    if last is None or last < task.filled:
        return
    mine = select(Task.filled).where(Task.id == task.id).with_for_update(key_share=True, skip_locked=True)
    filled = session.scalar(mine)
    if filled is None or last < filled:  # somebody else is at it: many who wait would hold up everybody
        return
    session.refresh(task, ["filled"])
    session.execute(select(func.pg_advisory_xact_lock(FILLING, func.hashtext(str(task.dataset_id)))))
    _insert(session, task, task.filled, last)
    if task.standing and session.scalar(JUDGED_BEFORE, {"dataset": task.dataset_id, "start": task.filled}):
        from backend.labels import tallies  # it reads this module

        tallies.recount(session, [task.dataset_id])  # it locks places, so that shares come after it
    else:
        forget_lows(session, task.id)
    added, task.filled = last + 1 - task.filled, last + 1
    session.flush()
    look_again(session, added, Place)


def fill_one(session: Session, task_id: uuid.UUID, item: Item) -> Place:
    """The place of an item that the caller has locked, made if it is missing, and locked."""
    task = session.get_one(Task, task_id)
    _insert(session, task, item.position, item.position)
    place = lock(session, task_id, item.id)
    assert place is not None  # noqa: S101  (it was just made)
    return place


def _insert(session: Session, task: Task, first: int, last: int) -> None:
    groups = GROUPED_ONE if first == last else GROUPED
    done = _ranked(session, task, FILL, groups, first=first, last=last).scalar()
    if done:
        from backend.labels.models import Tally  # it reads this module

        session.add(Tally(dataset_id=task.dataset_id, task_id=task.id, source="person", done=done))


def _ranked(session: Session, task: Task, statement: str, groups: str, **where: int) -> Result[Any]:
    """Let a statement give places the ranks of the task's order; `groups` are items with where their prompt begins."""
    grouped = Assistance.model_validate(task.assistance or {}).group_prompts
    source = groups if grouped else "items"
    whole = statement.format(rank=RANKS[task.order, grouped], source=source, wants=WANTS)
    about = {"task": task.id, "task_id": str(task.id), "made": task.created_at, "seed": str(task.seed)}
    named = {**about, "dataset": task.dataset_id, **where}
    return session.execute(text(whole), {name: value for name, value in named.items() if f":{name}" in whole})


def reorder(session: Session, task: Task) -> None:
    """Put the items of a task whose order has changed into the new one; everybody begins again where it begins.

    The caller has locked the task, so that nobody is just filling it.
    """
    mine = Place.task_id == task.id
    session.execute(select(Place.item_id).where(mine).order_by(Place.item_id).with_for_update(key_share=True))
    _ranked(session, task, REORDER, GROUPED)
    shares = select(Share.user_id).where(Share.task_id == task.id).order_by(Share.user_id)
    session.execute(shares.with_for_update(key_share=True))
    nowhere = dict.fromkeys(("at_rank", "at_item", "low_rank", "low_item"))
    session.execute(update(Share).where(Share.task_id == task.id).values(**nowhere))


def prioritize(session: Session, task: Task, priorities: Mapping[uuid.UUID, float]) -> None:
    """Give items of a task that is ordered by uncertainty their priorities: the highest come first, then the others."""
    fill(session, task)
    mine = Place.task_id == task.id, Place.item_id.in_(priorities)
    found = select(Place.item_id).where(*mine).order_by(Place.item_id)
    session.execute(found.with_for_update(key_share=True))
    given = {"ids": list(priorities), "priorities": list(priorities.values()), "task": task.id}
    session.execute(PRIORITIZE, given)
    forget_lows(session, task.id)


def reopened(session: Session, place: Place, user_id: uuid.UUID | None) -> None:
    """Whoever had all done that comes before this place and beyond has to look here again."""
    beyond = tuple_(Share.low_rank, Share.low_item) > at(place.rank, place.item_id)
    _forget(session, (Share.task_id == place.task_id) & (beyond | (Share.user_id == user_id)), beyond, place)


def forget_lows(session: Session, task_id: uuid.UUID) -> None:
    """Everybody looks for open places from the beginning again."""
    mine = Share.task_id == task_id
    _forget(session, mine, mine, None)


def _forget(session: Session, locked: ColumnElement[bool], lowered: ColumnElement[bool], place: Place | None) -> None:
    session.execute(select(Share.user_id).where(locked).order_by(Share.user_id).with_for_update(key_share=True))
    low = {"low_rank": place and place.rank, "low_item": place and place.item_id}
    session.execute(update(Share).where(locked, lowered).values(**low))


def at(rank: float, item_id: uuid.UUID) -> ColumnElement[Any]:
    """A place in the order, to compare others with."""
    return tuple_(literal(rank), literal(item_id))


def withdrawn(session: Session, dataset_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Number of withdrawn items of each of these datasets that has some."""
    where = Item.dataset_id.in_(list(dataset_ids)), Item.withdrawn_at.is_not(None)
    return dict(session.execute(select(Item.dataset_id, func.count()).where(*where).group_by(Item.dataset_id)).all())
