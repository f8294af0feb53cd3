"""What counts among labels, as SQL conditions, and how far datasets are labelled."""

import uuid
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, DateTime, Select, Uuid, bindparam, case, exists, func, or_, select, text
from sqlalchemy.orm import Session, aliased

from backend.datasets.models import Dataset, Item, Kind
from backend.labels import tallies, voices
from backend.labels.models import Label, LabelSource
from backend.labels.schemas import DatasetProgress, Progress
from backend.labels.voices import AnyLabel
from backend.tasks.models import Task

JUDGED = (Kind.paired, Kind.ranked, Kind.unpaired)  # demonstrations are there to be imitated: judging them takes a task
WAITS_AT_MOST: Final = timedelta(hours=1)  # a request for a lock


def newest(label: AnyLabel, up_to: uuid.UUID | None = None) -> ColumnElement[bool]:
    """It is what its annotator says of the item (or said by the watermark `up_to`): of their answers to several tasks
    the newest that judges, and beside these, how they settled it. Labels of nobody never change.

    A subquery, asked label by label: as a join it would begin with all labels that there are, also for one page. Nearly
    every label is its annotator's only one of the item, which is a look into an index; the rest is asked of others.
    """
    another = aliased(Label)
    beside = another.item_id == label.item_id, another.annotator_id == label.annotator_id, another.id != label.id
    alone = ~exists(select(another.id).where(*beside).correlate(label))
    own = aliased(Label)
    settles = (own.source == LabelSource.adjudication) == (label.source == LabelSource.adjudication)
    whose = [own.item_id == label.item_id, own.annotator_id == label.annotator_id, settles]
    if up_to is not None:
        whose.append(own.id <= up_to)
    first = case((retracted(own), 2), (skipped(own), 1), else_=0), own.version.desc()
    one = select(own.id).where(*whose, unchanged(own, up_to)).order_by(*first).limit(1)
    return or_(alone, label.id == func.coalesce(one.correlate(label).scalar_subquery(), label.id))


def unchanged(label: AnyLabel, up_to: uuid.UUID | None = None) -> ColumnElement[bool]:
    """Its annotator has said nothing newer in the same task (or not by the watermark `up_to`)."""
    later = aliased(Label)
    changed = voices.same(later, label), later.version > label.version
    wanted = changed if up_to is None else (*changed, later.id <= up_to)
    return ~exists(select(later.id).where(*wanted).correlate(label))


def retracted(label: AnyLabel) -> ColumnElement[bool]:
    return label.value.has_key("retracted")  # type: ignore[no-any-return]


def skipped(label: AnyLabel) -> ColumnElement[bool]:
    return label.value.has_key("skip")  # type: ignore[no-any-return]


def current_labels(dataset_id: uuid.UUID, *, skips: bool = True, up_to: uuid.UUID | None = None) -> Select[Label]:
    """The labels that count in a dataset, by item position: one of each annotator, undone ones left out.

    With `skips` false, skips are left out too. `up_to` is a watermark: labels with a larger id do not exist yet.
    """
    query = (
        select(Label)
        .join(Item, Item.id == Label.item_id)
        .where(Item.dataset_id == dataset_id, newest(Label, up_to), ~retracted(Label))
        .order_by(Item.position, Label.id)
    )
    if not skips:
        query = query.where(~skipped(Label))
    return query if up_to is None else query.where(Label.id <= up_to)


def _today() -> Select[int]:
    """What stands of what a person has judged since a time.  Nearly all items they said one thing about: only for the
    others is it asked which of their labels counts.  A version begins at most so long before the one it replaces."""
    user, midnight = bindparam("user", type_=Uuid), bindparam("midnight", type_=DateTime(timezone=True))
    later = aliased(Label)
    since = later.created_at >= midnight - WAITS_AT_MOST
    again = select(later.item_id).where(later.annotator_id == user, since, later.version > 1)
    own = Label.annotator_id == user, Label.created_at >= midnight, ~retracted(Label), ~skipped(Label)
    return select(func.count()).where(*own, or_(Label.item_id.not_in(again), newest(Label)))


TODAY = _today()
"""Written once: writing it takes longer than asking it."""


def today(session: Session, user_id: uuid.UUID, midnight: datetime) -> int:
    """The person's judgements since `midnight` that still stand."""
    return session.scalar(TODAY, {"user": user_id, "midnight": midnight}) or 0


def progress(
    session: Session, user_id: uuid.UUID, midnight: datetime, *, project_id: uuid.UUID, dataset_id: uuid.UUID | None
) -> list[DatasetProgress]:
    """How far each dataset of pairs, rankings or single answers is (or only `dataset_id`), newest dataset first."""
    wanted = [Dataset.project_id == project_id, Dataset.kind.in_(JUDGED)]
    if dataset_id is not None:
        wanted.append(Dataset.id == dataset_id)
    datasets = session.scalars(select(Dataset).where(*wanted).order_by(Dataset.id.desc())).all()
    ids = [dataset.id for dataset in datasets]
    counts = tallies.counts(session, ids, user_id)
    skips = dict(session.execute(_skips(user_id, ids)).all())
    done_today = today(session, user_id, midnight)
    tasked = set(session.scalars(select(Task.dataset_id).where(Task.dataset_id.in_(ids))))
    return [
        DatasetProgress(
            dataset_id=dataset.id,
            name=dataset.name,
            toy=dataset.toy,
            tasked=dataset.id in tasked,
            progress=_progress(dataset, counts.get(dataset.id), skips.get(dataset.id, 0), done_today),
        )
        for dataset in datasets
    ]


def _skips(user_id: uuid.UUID, dataset_ids: list[uuid.UUID]) -> Select[uuid.UUID, int]:
    """Per dataset the items that the person has skipped and nobody has judged."""
    own = Label.annotator_id == user_id, Label.dataset_id.in_(dataset_ids), text("labels.value ? 'skip'")
    counted = select(Label.dataset_id, func.count()).join(Item, Item.id == Label.item_id)
    return counted.where(*own, newest(Label), ~Item.judged).group_by(Label.dataset_id)


def _progress(dataset: Dataset, counts: tallies.Counts | None, skipped: int, done_today: int) -> Progress:
    total, labelled = sum(dataset.splits.values()), counts.by_people if counts else 0
    return Progress(
        total=total,
        labelled=labelled,
        by_you=counts.by_person if counts else 0,
        skipped=skipped,
        left=total - labelled - skipped,
        imported=counts.labelled - labelled if counts else 0,
        today=done_today,
    )
