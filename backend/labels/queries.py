"""What counts among labels, as SQL conditions, and how far datasets are labelled."""

import uuid
from datetime import datetime

from sqlalchemy import ColumnElement, Select, exists, func, select, text
from sqlalchemy.orm import Session, aliased
from sqlalchemy.orm.util import AliasedClass

from backend.datasets.models import Dataset, Item
from backend.labels import tallies
from backend.labels.models import Label
from backend.labels.schemas import DatasetProgress, Progress

AnyLabel = type[Label] | AliasedClass[Label]


def newest(label: AnyLabel, up_to: uuid.UUID | None = None) -> ColumnElement[bool]:
    """Its annotator has not changed it since (or not by the watermark `up_to`). Labels of nobody never change.

    A subquery, asked label by label: as a join it would begin with all labels that there are, also for one page.
    """
    later = aliased(Label)
    same = [later.item_id == label.item_id, later.annotator_id == label.annotator_id]
    if up_to is not None:
        same.append(later.id <= up_to)
    last = select(func.max(later.version)).where(*same).correlate(label).scalar_subquery()
    return label.version == func.coalesce(last, label.version)


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
    own = label.item_id == Item.id, label.annotator_id == user_id
    return Item.judged | exists().where(*own, skipped(label), newest(label))


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
    counts = tallies.counts(session, ids, user_id)
    skips = dict(session.execute(_skips(user_id, ids)).all())
    done_today = today(session, user_id, midnight)
    return [
        DatasetProgress(
            dataset_id=dataset.id,
            name=dataset.name,
            toy=dataset.toy,
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
