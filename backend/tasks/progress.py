"""How far tasks are, from counts that are kept."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.datasets.models import Dataset, Item
from backend.labels import queries, tallies
from backend.labels.caller import Caller
from backend.labels.schemas import Progress
from backend.tasks import places
from backend.tasks.models import Place, Task
from backend.tasks.schemas import TaskProgress


def of(session: Session, user_id: uuid.UUID, tasks: Sequence[Task]) -> dict[uuid.UUID, TaskProgress]:
    """How far each of these tasks is, with what is left for the person."""
    datasets = {task.dataset_id for task in tasks}
    splits = dict(session.execute(select(Dataset.id, Dataset.splits).where(Dataset.id.in_(datasets))).all())
    gone = places.withdrawn(session, datasets)
    counts = tallies.of_tasks(session, [task.id for task in tasks], user_id)
    totals = {task.id: sum(splits[task.dataset_id].values()) - gone.get(task.dataset_id, 0) for task in tasks}
    wanted = _wanted(session, tasks, totals, {id: one.done for id, one in counts.items()})
    found = {}
    for task in tasks:
        total, one = totals[task.id], counts.get(task.id, tallies.TaskCounts())
        labels = wanted[task.id]
        found[task.id] = TaskProgress(
            total=total,
            done=one.done,
            labels=labels.given,
            wanted=labels.wanted,
            by_you=one.given,
            skipped=one.skipped,
            left=max(0, total - one.done - one.pending),
        )
    return found


class Wanted(NamedTuple):
    """Labels that a task wants of all its items together, and how many of these are given."""

    wanted: int
    given: int


def _wanted(
    session: Session, tasks: Sequence[Task], totals: Mapping[uuid.UUID, int], done: Mapping[uuid.UUID, int]
) -> dict[uuid.UUID, Wanted]:
    """Of each task: an item that is done has all, others what they have; withdrawn ones and surplus do not count.

    Only items that are begun, and those that edits made, are looked at: what it costs does not grow with the task.
    """
    mine = Place.task_id.in_(totals)
    begun = select(Place.task_id, func.sum(Place.taken)).where(mine, Place.open, Place.taken > 0)
    partly = dict(session.execute(begun.group_by(Place.task_id)).all())
    of_edits = Place.wants.is_not(None), Item.withdrawn_at.is_(None)
    all_of_them = func.count(), func.sum(Place.wants)
    full_ones = func.count().filter(~Place.open), func.coalesce(func.sum(Place.wants).filter(~Place.open), 0)
    edits = select(Place.task_id, *all_of_them, *full_ones).join(Item, Item.id == Place.item_id)
    rows: Any = session.execute(edits.where(mine, *of_edits).group_by(Place.task_id))
    made = {row[0]: row[1:] for row in rows}
    found = {}
    for task in tasks:
        items, wants, full, had = made.get(task.id, (0, 0, 0, 0))
        given = (done.get(task.id, 0) - full) * task.overlap + had + partly.get(task.id, 0)
        found[task.id] = Wanted((totals[task.id] - items) * task.overlap + wants, given)
    return found


def as_seen(session: Session, caller: Caller, task: Task) -> Progress:
    """The same in the words of who labels."""
    one = of(session, caller.user.id, [task])[task.id]
    counts = tallies.counts(session, [task.dataset_id]).get(task.dataset_id)
    return Progress(
        total=one.total,
        labelled=one.done,
        by_you=one.by_you,
        skipped=one.skipped,
        left=one.left,
        imported=counts.labelled - counts.by_people if counts else 0,
        today=queries.today(session, caller.user.id, caller.midnight),
    )
