"""Labelling: the next pairs, a judgement stored once whatever happens on the way, undo, votes turned into labels."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from backend import paging
from backend.accounts.models import Role, User
from backend.datasets.models import Dataset, Item, Kind
from backend.errors import Conflict, NotFound
from backend.labels import leases, tallies
from backend.labels.cards import draw, swapped, turned
from backend.labels.models import Label, LabelSource, Lease
from backend.labels.queries import newest, progress, retracted
from backend.labels.schemas import Card, DatasetProgress, LabelIn, Progress


class NotPairs(Conflict):
    title = "Not a dataset of pairs"


class NotHandedOut(Conflict):
    title = "Not handed out"


class ClientIdReused(Conflict):
    title = "Label id reused"


class ChangedSince(Conflict):
    title = "Changed since"


class Caller(NamedTuple):
    """Who labels, as what and in which project, and when their day began."""

    user: User
    role: Role
    project_id: uuid.UUID
    midnight: datetime


def queue(session: Session, caller: Caller, dataset_id: uuid.UUID | None = None) -> list[DatasetProgress]:
    """Every dataset of pairs (or the one) and how far it is, newest first."""
    return progress(session, caller.user.id, caller.midnight, project_id=caller.project_id, dataset_id=dataset_id)


def next_cards(
    session: Session, caller: Caller, dataset_id: uuid.UUID, n: int, holding: Collection[uuid.UUID]
) -> tuple[list[Card], Progress]:
    """The next pairs of a dataset for the person, leased to them, and how far the dataset is."""
    dataset = _pairs(session, caller, dataset_id)
    held = leases.take(session, caller.user.id, dataset.id, n, holding)
    return [draw(one) for one in held], _progress(session, caller, dataset.id)


def submit(
    session: Session, caller: Caller, item_id: uuid.UUID, body: LabelIn
) -> tuple[Label, Card | None, Progress | None]:
    """Store the person's judgement of an item once, however often it is sent; then lease them the next pair.

    A lease that has run out does no harm: whoever was handed the item keeps what they said, also when somebody else
    has judged it meanwhile. A judgement of the same item under a new `client_id` is a new version. How far the dataset
    is, is counted only when there is no next pair: counting takes longer the more there is.
    """
    item = _item(session, caller, item_id)
    _pairs(session, caller, item.dataset_id)
    leases.lock(session, item.id)
    label = _stored(session, caller, item, body)
    if label is None:
        lease = _lease_of(session, caller, item, body.lease)
        label = _add(session, caller, item, body)
        tallies.note(session, label)
        lease.expires_at = func.now()
    passed = {*body.holding, item.id}
    upcoming = leases.take(session, caller.user.id, item.dataset_id, 1, passed)
    session.flush()
    if upcoming:
        return label, draw(upcoming[0]), None
    return label, None, _progress(session, caller, item.dataset_id)


def undo(session: Session, caller: Caller, label_id: uuid.UUID) -> tuple[Card, Progress]:
    """Take back the person's own newest label of an item: a new version says so, and the pair is leased to them again.

    Undoing twice is the same as once.
    """
    label = session.get(Label, label_id)
    if label is None or label.annotator_id != caller.user.id or label.project_id != caller.project_id:
        raise NotFound.of("label")
    item = leases.lock(session, label.item_id)
    last = _last(session, caller.user.id, item.id)
    undone = last.version == label.version + 1 and "retracted" in last.value
    if last.id != label.id and not undone:
        raise ChangedSince("You have judged this pair again since.", remedy="Undo your newest label of it.")
    if not undone and "retracted" not in last.value:
        _take_back(session, item, label, last.version + 1)
    (held,) = leases.hold(session, caller.user.id, [item])
    return draw(held), _progress(session, caller, item.dataset_id)


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
    version = 1
    if annotator_id is not None:
        last = session.scalars(_versions(annotator_id, item.id)).first()
        version = last.version + 1 if last else 1
    label = _row(
        item,
        annotator_id,
        source=LabelSource.vote if annotator_id else LabelSource.judge,
        value=value,
        swapped=swapped,
        seconds=seconds,
        rationale=rationale,
        client_id=verdict_id,
        version=version,
    )
    session.add(label)
    tallies.note(session, label)
    return label


def retract_votes(session: Session, verdict_ids: Collection[uuid.UUID]) -> None:
    """Afterwards none of these verdicts counts as a label: a new version takes back each that was the person's newest.

    Where the person has judged the item again since, that judgement stands.
    """
    labels = select(Label).where(Label.client_id.in_(verdict_ids), Label.annotator_id.is_not(None))
    for label in session.scalars(labels.order_by(Label.item_id)).all():
        item = leases.lock(session, label.item_id)
        assert label.annotator_id is not None  # noqa: S101  (the query wants one)
        if _last(session, label.annotator_id, item.id).id == label.id:
            _take_back(session, item, label, label.version + 1)


def _take_back(session: Session, item: Item, label: Label, version: int) -> None:
    """A new version of the person's label that says that they said nothing."""
    value = {"retracted": True}
    row = _row(item, label.annotator_id, source=label.source, value=value, swapped=label.swapped, version=version)
    session.add(row)
    tallies.note(session, row)


def of_item(session: Session, caller: Caller, item_id: uuid.UUID, *, own: bool) -> Sequence[Row[Label, str | None]]:
    """Every version of an item's labels with its annotator's name, oldest first; only the person's own if `own`."""
    item = _item(session, caller, item_id)
    query = _named().where(Label.item_id == item.id).order_by(Label.id)
    if own:
        query = query.where(Label.annotator_id == caller.user.id)
    return session.execute(query).all()


def of_dataset(
    session: Session, caller: Caller, dataset_id: uuid.UUID, cursor: str | None, limit: int, *, own: bool
) -> tuple[Sequence[Row[Label, str | None]], str | None]:
    """The labels that count in a dataset, oldest first, with their annotators' names, and the next page's cursor."""
    dataset = _dataset(session, caller, dataset_id)
    query = _named().where(Label.dataset_id == dataset.id, newest(Label), ~retracted(Label))
    if own:
        query = query.where(Label.annotator_id == caller.user.id)
    return paging.page_of_rows(session, query, Label.id, cursor, limit, oldest_first=True)


def _named() -> Select[Label, str | None]:
    return select(Label, User.name).outerjoin(User, User.id == Label.annotator_id)


def _dataset(session: Session, caller: Caller, dataset_id: uuid.UUID) -> Dataset:
    dataset = session.get(Dataset, dataset_id)
    if dataset is None or dataset.project_id != caller.project_id:
        raise NotFound.of("dataset")
    return dataset


def _pairs(session: Session, caller: Caller, dataset_id: uuid.UUID) -> Dataset:
    dataset = _dataset(session, caller, dataset_id)
    if dataset.kind != Kind.paired:
        raise NotPairs(f"“{dataset.name}” holds no pairs.", remedy="Choose a dataset with two responses a prompt.")
    return dataset


def _item(session: Session, caller: Caller, item_id: uuid.UUID) -> Item:
    item = session.get(Item, item_id)
    if item is None or item.project_id != caller.project_id:
        raise NotFound.of("item")
    return item


def _lease_of(session: Session, caller: Caller, item: Item, token: uuid.UUID) -> Lease:
    """The lease that the person has, or had, on the item."""
    found = session.scalars(
        select(Lease).where(Lease.token == token, Lease.annotator_id == caller.user.id, Lease.item_id == item.id)
    ).first()
    if found is None:
        raise NotHandedOut("This pair was not handed to you.", field="lease", remedy="Ask for cards, then label them.")
    return found


def _stored(session: Session, caller: Caller, item: Item, body: LabelIn) -> Label | None:
    """The label that this request made the first time it came."""
    label = session.scalars(select(Label).where(Label.client_id == body.client_id)).first()
    if label is None:
        return None
    same_place = label.item_id == item.id and label.annotator_id == caller.user.id
    said = turned(body.value.as_shown(), label.swapped), body.seconds, body.rationale or None
    if not same_place or said != (label.value, label.seconds, label.rationale):
        raise ClientIdReused("This id was used for another label.", field="client_id", remedy="Send a fresh id.")
    return label


def _add(session: Session, caller: Caller, item: Item, body: LabelIn) -> Label:
    last = session.scalars(_versions(caller.user.id, item.id)).first()
    swap = swapped(item, caller.user.id)
    written = session.scalars(
        insert(Label)
        .values(
            project_id=item.project_id,
            item_id=item.id,
            dataset_id=item.dataset_id,
            annotator_id=caller.user.id,
            source=LabelSource.person,
            value=turned(body.value.as_shown(), swap),
            swapped=swap,
            seconds=body.seconds,
            rationale=body.rationale or None,
            client_id=body.client_id,
            version=last.version + 1 if last else 1,
        )
        .on_conflict_do_nothing(index_elements=[Label.client_id])
        .returning(Label)
    ).first()
    if written is None:  # the same id came for another item at the same moment
        raise ClientIdReused("This id was used for another label.", field="client_id", remedy="Send a fresh id.")
    return written


def _row(item: Item, annotator_id: uuid.UUID | None, **columns: Any) -> Label:
    where = {"project_id": item.project_id, "item_id": item.id, "dataset_id": item.dataset_id}
    return Label(**where, annotator_id=annotator_id, **columns)


def _versions(annotator_id: uuid.UUID, item_id: uuid.UUID) -> Select[Label]:
    own = Label.annotator_id == annotator_id, Label.item_id == item_id
    return select(Label).where(*own).order_by(Label.version.desc()).limit(1)


def _last(session: Session, annotator_id: uuid.UUID, item_id: uuid.UUID) -> Label:
    return session.scalars(_versions(annotator_id, item_id)).one()


def _progress(session: Session, caller: Caller, dataset_id: uuid.UUID) -> Progress:
    (one,) = queue(session, caller, dataset_id)
    return one.progress
