"""Counting labels as they came: in the hours and days behind, by person; and the pace that a new task can reckon with.

Every question looks at a stretch of time or at the newest labels, by index: what it costs does not grow with what lies
before.
"""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Integer, cast, exists, func, select
from sqlalchemy.orm import Session, aliased

from backend.accounts.models import User
from backend.labels.models import Label, LabelSource
from backend.labels.queries import retracted, skipped
from backend.tasks.ending import ended
from backend.tasks.models import Task
from backend.throughput.forecast import DAYS, Forecast, forecast
from backend.throughput.schemas import By

SLACK = timedelta(minutes=1)  # between the making of an id and the moment of its transaction
WIDTHS: dict[By, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
LONGEST_SECONDS = 600.0  # of work on one card: what is longer was a pause
LOOKED_AT = 20_000  # labels, for the pace
NEWEST = 1_000


class Given(NamedTuple):
    """What one person gave: labels by number of the hour or day, and the seconds of work in each of these."""

    user_id: uuid.UUID
    name: str
    by_bucket: dict[int, int]
    work_seconds: list[float]


def given(session: Session, task: Task, by: By, midnight: datetime, since: datetime) -> list[Given]:
    """Labels of a task since a moment, by person and by hour or day, these numbered from somebody's midnight on."""
    width = WIDTHS[by].total_seconds()
    bucket = cast(func.floor(func.extract("epoch", Label.created_at - midnight) / width), Integer)
    worked = func.coalesce(func.sum(func.least(func.coalesce(Label.seconds, 0.0), LONGEST_SECONDS)), 0.0)
    query = (
        select(Label.annotator_id, User.name, bucket, func.count(), worked)
        .join(User, User.id == Label.annotator_id)
        .where(*_counted(task, since))
        .group_by(Label.annotator_id, User.name, bucket)
    )
    found: dict[uuid.UUID, Given] = {}
    for person, name, at, labels, seconds in session.execute(query):
        known = found.setdefault(person, Given(person, name, {}, []))
        known.by_bucket[at] = labels
        known.work_seconds.append(seconds)
    return sorted(found.values(), key=lambda one: (-sum(one.by_bucket.values()), one.name))


def buckets(by: By, midnight: datetime, now: datetime, last: int) -> range:
    """The numbers of the last hours or days, the present one included, oldest first."""
    present = (now - midnight) // WIDTHS[by]
    return range(present - last + 1, present + 1)


def expected(session: Session, task: Task, now: datetime, remaining: int) -> Forecast | None:
    """When the labels that are still wanted will be there; of a task that has ended nobody can say."""
    if ended(task) is not None:
        return None
    first = session.scalar(select(Label.created_at).where(Label.task_id == task.id).order_by(Label.id).limit(1))
    if first is None:
        return None
    since = now - timedelta(days=DAYS)
    day = cast(func.floor(func.extract("epoch", now - Label.created_at) / timedelta(days=1).total_seconds()), Integer)
    counted = select(day, func.count()).where(*_counted(task, since), ~Label.surplus).group_by(day)
    found: dict[int, int] = defaultdict(int, dict(session.execute(counted).all()))
    return forecast(now, first, [found[back] for back in range(DAYS)], remaining)


def _counted(task: Task, since: datetime) -> Sequence[ColumnElement[bool]]:
    """The labels of a task since a moment that people gave and that stand; what a newer one replaced is found by hash.

    Ids sort by creation: by them the index of the task's labels is read from that moment on, and no further back.
    """
    earliest = _id_at(since - SLACK)
    later = aliased(Label)
    replaced = exists().where(
        later.task_id == task.id,
        later.id > earliest,
        later.version > 1,
        later.item_id == Label.item_id,
        later.annotator_id == Label.annotator_id,
        later.version > Label.version,
    )
    stands = Label.source == LabelSource.person, ~retracted(Label), ~skipped(Label), ~replaced
    return Label.task_id == task.id, Label.id > earliest, Label.created_at >= since, *stands


def _id_at(moment: datetime) -> uuid.UUID:
    """An id that is smaller than those made after the moment (UUIDv7: the milliseconds come first)."""
    return uuid.UUID(int=int(moment.timestamp() * 1000) << 80)


class Pace(NamedTuple):
    """The median seconds of so many labels."""

    median_seconds: float | None
    labels: int


def pace(session: Session, project_id: uuid.UUID, dataset_id: uuid.UUID | None = None) -> Pace:
    """How long people take for an item of a dataset, or of any of the project as far as the newest labels tell.

    Of the newest labels only: a million imported ones are not looked through for the few that people gave.
    """
    labels = select(Label).order_by(Label.id.desc()).limit(LOOKED_AT)
    if dataset_id is not None:
        labels = labels.where(Label.dataset_id == dataset_id)
    looked_at = aliased(Label, labels.subquery())
    own = looked_at.project_id == project_id, looked_at.source == LabelSource.person, looked_at.seconds > 0
    timed = select(func.least(looked_at.seconds, LONGEST_SECONDS).label("seconds"))
    timed = timed.where(*own, ~retracted(looked_at), ~skipped(looked_at)).order_by(looked_at.id.desc()).limit(NEWEST)
    newest = timed.subquery()
    middle = func.percentile_cont(0.5).within_group(newest.c.seconds)
    return Pace(*session.execute(select(middle, func.count()).select_from(newest)).one())
