"""Labels of items and datasets as lists, votes turned into labels, and how far datasets are."""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from backend import paging
from backend.accounts.models import User
from backend.datasets.models import Dataset, Item
from backend.errors import NotFound
from backend.labels import leases, submitting, tallies, versions
from backend.labels.caller import Caller
from backend.labels.models import Label, LabelSource
from backend.labels.queries import newest, progress, retracted
from backend.labels.schemas import DatasetProgress


def queue(session: Session, caller: Caller, dataset_id: uuid.UUID | None = None) -> list[DatasetProgress]:
    """Every dataset that people may judge (or the one) and how far it is, newest first."""
    return progress(session, caller.user.id, caller.midnight, project_id=caller.project_id, dataset_id=dataset_id)


def add_vote(
    session: Session,
    item: Item,
    value: dict[str, Any],
    *,
    annotator_id: uuid.UUID | None,
    verdict_id: uuid.UUID,
    swapped: bool,
    seconds: float | None = None,
    rationale: str | None = None,
) -> Label:
    """A verdict as a label, `value` in the item's order; a person's is a vote, nobody's is a judge's. Once a verdict.

    A second verdict of the same person on the same item is a new version.
    """
    leases.lock(session, item.id)
    known = session.scalars(select(Label).where(Label.client_id == verdict_id)).first()
    if known is not None:
        return known
    label = _row(
        item,
        annotator_id,
        source=LabelSource.vote if annotator_id else LabelSource.judge,
        value=value,
        swapped=swapped,
        seconds=seconds,
        rationale=rationale,
        client_id=verdict_id,
        version=versions.following(session, annotator_id, item.id) if annotator_id else 1,
    )
    session.add(label)
    tallies.note(session, label)
    return label


def retract_votes(session: Session, verdict_ids: Collection[uuid.UUID]) -> None:
    """Afterwards none of these verdicts counts as a label: a new version takes back each that was the person's newest.

    Where the person has judged the item again since, outside of tasks too, that judgement stands.
    """
    labels = select(Label).where(Label.client_id.in_(verdict_ids), Label.annotator_id.is_not(None))
    for label in session.scalars(labels.order_by(Label.item_id)).all():
        leases.lock(session, label.item_id)
        if versions.newest(session, label)[0].id == label.id:
            versions.take_back(session, label)


def of_item(session: Session, caller: Caller, item_id: uuid.UUID, *, own: bool) -> Sequence[Row[Label, str | None]]:
    """Every version of an item's labels with its annotator's name, oldest first; only the person's own if `own`."""
    item = submitting.find_item(session, caller, item_id)
    query = _named().where(Label.item_id == item.id).order_by(Label.id)
    if own:
        query = query.where(Label.annotator_id == caller.user.id)
    return session.execute(query).all()


def of_dataset(
    session: Session, caller: Caller, dataset_id: uuid.UUID, cursor: str | None, limit: int, *, own: bool
) -> tuple[Sequence[Row[Label, str | None]], str | None]:
    """The labels that count in a dataset, oldest first, with their annotators' names, and the next page's cursor."""
    dataset = find_dataset(session, caller, dataset_id)
    query = _named().where(Label.dataset_id == dataset.id, newest(Label), ~retracted(Label))
    if own:
        query = query.where(Label.annotator_id == caller.user.id)
    return paging.page_of_rows(session, query, Label.id, cursor, limit, oldest_first=True)


def _named() -> Select[Label, str | None]:
    return select(Label, User.name).outerjoin(User, User.id == Label.annotator_id)


def find_dataset(session: Session, caller: Caller, dataset_id: uuid.UUID) -> Dataset:
    dataset = session.get(Dataset, dataset_id)
    if dataset is None or dataset.project_id != caller.project_id:
        raise NotFound.of("dataset")
    return dataset


def _row(item: Item, annotator_id: uuid.UUID | None, **columns: Any) -> Label:
    where = {"project_id": item.project_id, "item_id": item.id, "dataset_id": item.dataset_id}
    return Label(**where, annotator_id=annotator_id, **columns)
