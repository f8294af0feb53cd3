"""What counts among labels, as SQL conditions, and how far datasets are labelled."""

import uuid
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, exists, func, select
from sqlalchemy.orm import Session, aliased
from sqlalchemy.orm.util import AliasedClass

from backend.datasets.models import Dataset, Item
from backend.labels.models import Label
from backend.labels.schemas import DatasetProgress, Progress

AnyLabel = type[Label] | AliasedClass[Label]


def newest(label: AnyLabel, up_to: uuid.UUID | None = None) -> ColumnElement[bool]:
    """Its annotator has not changed it since (or not by the watermark `up_to`). Labels of nobody never change."""
    later = aliased(Label)
    newer = [later.item_id == label.item_id, later.annotator_id == label.annotator_id, later.version > label.version]
    if up_to is not None:
        newer.append(later.id <= up_to)
    return ~exists().where(*newer)


def retracted(label: AnyLabel) -> ColumnElement[bool]:
    return label.value.has_key("retracted")  # type: ignore[no-any-return]


def skipped(label: AnyLabel) -> ColumnElement[bool]:
    return label.value.has_key("skip")  # type: ignore[no-any-return]


def current_labels(dataset_id: uuid.UUID, *, skips: bool = True, up_to: uuid.UUID | None = None) -> Select[Label]:
    """The labels that count in a dataset, by item position: the newest of each annotator, undone ones left out.

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


def done_for(user_id: uuid.UUID) -> ColumnElement[bool]:
    """The person need not see the item: somebody has judged it, or the person has skipped it."""
    label = aliased(Label)
    return exists().where(
        label.item_id == Item.id,
        label.annotator_id.is_not(None),
        (label.annotator_id == user_id) | ~skipped(label),
        ~retracted(label),
        newest(label),
    )


def today(session: Session, user_id: uuid.UUID, midnight: datetime) -> int:
    """The person's judgements since `midnight` that still stand."""
    counted = select(func.count()).where(
        Label.annotator_id == user_id,
        Label.created_at >= midnight,
        newest(Label),
        ~retracted(Label),
        ~skipped(Label),
    )
    return session.scalar(counted) or 0


def progress(
    session: Session, user_id: uuid.UUID, midnight: datetime, *, project_id: uuid.UUID, dataset_id: uuid.UUID | None
) -> list[DatasetProgress]:
    """How far each dataset of pairs is (or only `dataset_id`), newest dataset first."""
    wanted = [Dataset.project_id == project_id, Dataset.kind == "paired"]
    if dataset_id is not None:
        wanted.append(Dataset.id == dataset_id)
    datasets = session.scalars(select(Dataset).where(*wanted).order_by(Dataset.id.desc())).all()
    ids = [dataset.id for dataset in datasets]
    totals = dict(
        session.execute(
            select(Item.dataset_id, func.count()).where(Item.dataset_id.in_(ids)).group_by(Item.dataset_id)
        ).all()
    )
    counts = {row[0]: row[1:] for row in session.execute(_counts(user_id, ids))}
    done_today = today(session, user_id, midnight)
    return [
        DatasetProgress(
            dataset_id=dataset.id,
            name=dataset.name,
            toy=dataset.toy,
            progress=_progress(totals.get(dataset.id, 0), *counts.get(dataset.id, (0, 0, 0)), done_today),
        )
        for dataset in datasets
    ]


def _counts(user_id: uuid.UUID, dataset_ids: list[uuid.UUID]) -> Select[uuid.UUID, int, int, int]:
    """Per dataset: items judged by anybody, items judged by the person, items that the person need not see."""
    judged, own = ~skipped(Label), Label.annotator_id == user_id
    items = Label.item_id.distinct()
    return (
        select(
            Item.dataset_id,
            func.count(items).filter(judged),
            func.count(items).filter(and_(judged, own)),
            func.count(items).filter(judged | own),
        )
        .join(Item, Item.id == Label.item_id)
        .where(Item.dataset_id.in_(dataset_ids), Label.annotator_id.is_not(None), newest(Label), ~retracted(Label))
        .group_by(Item.dataset_id)
    )


def _progress(total: int, labelled: int, by_you: int, done: int, done_today: int) -> Progress:
    return Progress(
        total=total, labelled=labelled, by_you=by_you, skipped=done - labelled, left=total - done, today=done_today
    )
