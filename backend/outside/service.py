"""Storing labels of named annotators outside: checked against their items, once each, counted as any other."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from alignment.formats import BadRow
from alignment.formats.native import judgement, rated
from backend.datasets.models import Dataset, Item
from backend.datasets.writer import kind_of
from backend.errors import Conflict, Invalid
from backend.labels import tallies
from backend.labels.models import Label, LabelSource
from backend.outside.schemas import OutsideLabelIn, OutsideLabelOut, OutsideLabelsIn, OutsideLabelsOut


class UnknownItem(Invalid):
    title = "No such item"


class ItemWithdrawn(Conflict):
    title = "Item withdrawn"


class NotALabel(Invalid):
    title = "Not a label of this item"


class LabelIdReused(Conflict):
    title = "Label id reused"


class Said(NamedTuple):
    """One label as it is stored; `client_id` null where another row makes it once."""

    item: Item
    value: Mapping[str, Any]
    annotator: str | None
    client_id: uuid.UUID | None = None
    digest: str | None = None
    aspects: Mapping[str, Any] | None = None
    rationale: str | None = None
    seconds: float | None = None


def take(session: Session, dataset: Dataset, body: OutsideLabelsIn) -> OutsideLabelsOut:
    """Store the labels, those alone that are not there yet.

    Raises UnknownItem, ItemWithdrawn, NotALabel, LabelIdReused.
    """
    items = _locked(session, dataset, [one.item_id for one in body.labels])
    wanted = [_said(items, place, one, body) for place, one in enumerate(body.labels)]
    known = _known(session, dataset, wanted)
    fresh: dict[uuid.UUID, Label] = {}
    for place, said in enumerate(wanted):
        assert said.client_id is not None  # noqa: S101  (a request names one of each)
        there = known.get(said.client_id) or fresh.get(said.client_id)
        if there is None:
            fresh[said.client_id] = store(session, dataset, said, LabelSource(body.source), f"labels.{place}.client_id")
        elif there.digest != said.digest:
            raise _reused(f"labels.{place}.client_id")
    found = known | fresh
    ids = [found[one.client_id].id for one in body.labels]
    return OutsideLabelsOut(
        labels=[
            OutsideLabelOut(id=id, client_id=one.client_id, item_id=one.item_id)
            for id, one in zip(ids, body.labels, strict=True)
        ],
        known=len(body.labels) - len(fresh),
    )


def store(session: Session, dataset: Dataset, said: Said, source: LabelSource, field: str = "client_id") -> Label:
    """A label of somebody who is no person here; the caller has locked its item.  Raises LabelIdReused."""
    value = dict(said.value) | ({"annotator": said.annotator} if said.annotator else {})
    label = session.scalars(
        insert(Label)
        .values(
            project_id=dataset.project_id,
            item_id=said.item.id,
            dataset_id=dataset.id,
            source=source,
            kind=kind_of(value),
            value=value,
            aspects=dict(said.aspects) if said.aspects is not None else None,
            rationale=said.rationale or None,
            seconds=said.seconds,
            client_id=said.client_id,
            digest=said.digest,
        )
        .on_conflict_do_nothing(index_elements=[Label.client_id])
        .returning(Label)
    ).first()
    if label is None:  # of another dataset, or stored by another request at this moment
        raise _reused(field)
    tallies.note(session, label)
    return label


def lock(session: Session, ids: Sequence[uuid.UUID]) -> Sequence[Item]:
    """These items, locked in an order in which nobody waits in a circle."""
    query = select(Item).where(Item.id.in_(ids)).order_by(Item.id).with_for_update(key_share=True)
    return session.scalars(query).all()


def _locked(session: Session, dataset: Dataset, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Item]:
    found = {item.id: item for item in lock(session, ids) if item.dataset_id == dataset.id}
    for place, wanted in enumerate(ids):
        if wanted not in found:
            raise UnknownItem(
                f"“{dataset.name}” has no item {wanted}.",
                field=f"labels.{place}.item_id",
                remedy="Take the ids from the dataset's items, or from an export of Plumbline rows.",
            )
        if found[wanted].withdrawn_at is not None:
            raise ItemWithdrawn(
                f"The item {wanted} was withdrawn.",
                field=f"labels.{place}.item_id",
                remedy="Leave it out; nothing was stored.",
            )
    return found


def _said(items: Mapping[uuid.UUID, Item], place: int, one: OutsideLabelIn, body: OutsideLabelsIn) -> Said:
    item = items[one.item_id]
    field, responses = f"labels.{place}", len(item.responses)
    try:
        value = judgement(one.value, f"{field}.value", responses)
        aspects = rated(one.aspects, f"{field}.aspects", responses)
    except BadRow as bad:
        raise NotALabel(
            bad.reason, field=bad.field, remedy=f"The item has {responses} responses. Nothing was stored."
        ) from None
    digest = hashlib.sha256(
        orjson.dumps([body.source, one.model_dump(mode="json")], option=orjson.OPT_SORT_KEYS)
    ).hexdigest()
    return Said(item, value, one.annotator, one.client_id, digest, aspects, one.rationale, one.seconds)


def _known(session: Session, dataset: Dataset, wanted: Sequence[Said]) -> dict[uuid.UUID, Label]:
    query = select(Label).where(
        Label.client_id.in_([said.client_id for said in wanted]), Label.dataset_id == dataset.id
    )
    return {label.client_id: label for label in session.scalars(query) if label.client_id is not None}


def _reused(field: str) -> LabelIdReused:
    return LabelIdReused(
        "This id was used for another label.", field=field, remedy="Send a fresh id. Nothing was stored."
    )
