"""How far tasks are, from counts that are kept."""

import uuid
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.datasets.models import Dataset
from backend.labels import queries, tallies
from backend.labels.caller import Caller
from backend.labels.schemas import Progress
from backend.tasks import places
from backend.tasks.models import Task
from backend.tasks.schemas import TaskProgress


def of(session: Session, user_id: uuid.UUID, tasks: Sequence[Task]) -> dict[uuid.UUID, TaskProgress]:
    """How far each of these tasks is, with what is left for the person."""
    datasets = {task.dataset_id for task in tasks}
    splits = dict(session.execute(select(Dataset.id, Dataset.splits).where(Dataset.id.in_(datasets))).all())
    gone = places.withdrawn(session, datasets)
    counts = tallies.of_tasks(session, [task.id for task in tasks], user_id)
    found = {}
    for task in tasks:
        total = sum(splits[task.dataset_id].values()) - gone.get(task.dataset_id, 0)
        done, labels, given, pending, skipped = counts.get(task.id, tallies.TaskCounts())
        left = max(0, total - done - pending)
        found[task.id] = TaskProgress(total=total, done=done, labels=labels, by_you=given, skipped=skipped, left=left)
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
