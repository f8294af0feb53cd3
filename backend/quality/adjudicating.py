"""Settling what people disagree on: one answer that stands above theirs, given blind, after which theirs are shown."""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.accounts.models import User
from backend.datasets import judgements
from backend.datasets.models import Dataset, Item
from backend.errors import NotFound
from backend.labels import leases, tallies, versions
from backend.labels.cards import as_shown, shown_order
from backend.labels.models import Label, LabelSource
from backend.labels.submitting import ClientIdReused
from backend.quality.schemas import AdjudicatedOut, AdjudicationIn, VoteOut
from backend.tasks.answers import UnknownChoice, check, to_item, to_shown
from backend.tasks.schemas import Question
from backend.tasks.service import KINDS


def adjudicate(
    session: Session, user: User, project_id: uuid.UUID, item_id: uuid.UUID, body: AdjudicationIn
) -> AdjudicatedOut:
    """Store the answer once, however often it is sent, and show what the others said.

    A later one under a new `client_id` is a new version. Raises NotFound, Withdrawn, UnknownChoice, ClientIdReused.
    """
    item = session.get(Item, item_id)
    if item is None or item.project_id != project_id:
        raise NotFound.of("item")
    item = leases.lock(session, item.id)
    order = shown_order(item.dataset_id, item.id, user.id, len(item.responses))
    label = _stored(session, user, item, body, order)
    if label is None:
        leases.refuse_withdrawn(item)
        label = _add(session, user, item, body, order)
    return AdjudicatedOut(label=as_shown(label), votes=_votes(session, item, order))


def _stored(session: Session, user: User, item: Item, body: AdjudicationIn, order: list[int]) -> Label | None:
    """The label that this request made the first time it came.  Raises ClientIdReused."""
    label = session.scalars(select(Label).where(Label.client_id == body.client_id)).first()
    if label is None:
        return None
    same = label.item_id == item.id and label.annotator_id == user.id and label.source is LabelSource.adjudication
    if not same or (label.value, label.rationale) != (to_item(body.value.as_shown(), order), body.rationale or None):
        raise ClientIdReused("This id was used for another label.", field="client_id", remedy="Send a fresh id.")
    return label


def _add(session: Session, user: User, item: Item, body: AdjudicationIn, order: list[int]) -> Label:
    value = body.value.as_shown()
    kind = _kind(session, item, value)
    label = Label(
        project_id=item.project_id,
        item_id=item.id,
        dataset_id=item.dataset_id,
        annotator_id=user.id,
        source=LabelSource.adjudication,
        kind=kind,
        value=to_item(value, order),
        swapped=order == [1, 0],
        rationale=body.rationale or None,
        client_id=body.client_id,
        version=versions.following(session, user.id, item.id),
    )
    session.add(label)
    tallies.note(session, label)
    session.refresh(label)
    return label


def _kind(session: Session, item: Item, value: Mapping[str, Any]) -> str:
    """What kind of answer it is.  Raises UnknownChoice unless it answers what may be asked of an item like this."""
    kinds = KINDS.get(session.get_one(Dataset, item.dataset_id).kind, ())
    said = next(iter(value))
    kind = "pair" if said in ("strength", "both_bad") else said
    known = next((one for one in kinds if one == kind), None)
    if known is None:
        raise UnknownChoice(
            f"An item like this is settled by a {' or a '.join(kinds)}." if kinds else "There is nothing to settle.",
            field="value",
            remedy="Send an answer like those of the item's labels.",
        )
    check(Question(kind=known), value, len(item.responses))
    return known


def _votes(session: Session, item: Item, order: list[int]) -> list[VoteOut]:
    """What counts of what the others said, in the same order of sides."""
    found = judgements.current(session, [item.id]).get(item.id, [])
    labels = [label for label in found if label.source is not LabelSource.adjudication]
    people = {label.annotator_id for label in labels if label.annotator_id is not None}
    names = dict(session.execute(select(User.id, User.name).where(User.id.in_(people))).all())
    return [_vote(label, names, order) for label in labels]


def _vote(label: Label, names: dict[uuid.UUID, str], order: list[int]) -> VoteOut:
    value = {part: said for part, said in label.value.items() if part not in ("annotator", "origin")}
    name = names.get(label.annotator_id) if label.annotator_id else label.value.get("annotator")
    return VoteOut(
        annotator_id=label.annotator_id,
        annotator=name,
        value=to_shown(value, order),
        rationale=label.rationale,
        seconds=label.seconds,
        surplus=label.surplus,
        created_at=label.created_at,
    )
