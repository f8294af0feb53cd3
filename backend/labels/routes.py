"""Routes of labelling: cards, labels, undo, leases, and how far every dataset is."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Header
from sqlalchemy import Row

from backend.accounts.models import Role
from backend.deps import CurrentUser, PlaceDep, SessionDep
from backend.labels import leases, service
from backend.labels.cards import turned
from backend.labels.models import Label
from backend.labels.schemas import (
    CardsIn,
    CardsOut,
    DatasetProgress,
    LabelIn,
    LabelOut,
    OwnLabelOut,
    RenewedOut,
    SubmittedOut,
    UndoneOut,
)
from backend.labels.service import Caller
from backend.paging import Cursor, Limit, Page

router = APIRouter(tags=["labels"])
DAY_MINUTES = 24 * 60
Labels = Page[LabelOut] | Page[OwnLabelOut]


def calling(
    user: CurrentUser,
    place: PlaceDep,
    x_utc_offset: Annotated[
        int, Header(ge=-DAY_MINUTES, le=DAY_MINUTES, description="Minutes that the person's clock is ahead of UTC.")
    ] = 0,
) -> Caller:
    """Who labels; their day begins at midnight of their own clock."""
    ahead = timedelta(minutes=x_utc_offset)
    local = datetime.now(UTC) + ahead
    return Caller(user, place.role, place.project.id, local.replace(hour=0, minute=0, second=0, microsecond=0) - ahead)


CallerDep = Annotated[Caller, Depends(calling)]


@router.get("/progress")
def list_progress(caller: CallerDep, session: SessionDep, dataset_id: uuid.UUID | None = None) -> Page[DatasetProgress]:
    """Every dataset of pairs, or the one, and how far it is labelled, newest first."""
    return Page(items=service.queue(session, caller, dataset_id))


@router.post("/datasets/{dataset_id}/cards")
def next_cards(dataset_id: uuid.UUID, body: CardsIn, caller: CallerDep, session: SessionDep) -> CardsOut:
    """Lease the next pairs, blind, in the person's own side order."""
    cards, progress = service.next_cards(session, caller, dataset_id, body.n, body.holding)
    return CardsOut(cards=cards, progress=progress)


@router.post("/items/{item_id}/labels", status_code=201)
def submit(item_id: uuid.UUID, body: LabelIn, caller: CallerDep, session: SessionDep) -> SubmittedOut:
    """Judge an item; the value is in the order shown. Sent again with the same `client_id`, it is stored once."""
    label, card, progress = service.submit(session, caller, item_id, body)
    return SubmittedOut(label=_own(label), next=card, progress=progress)


@router.post("/labels/{label_id}/undo")
def undo(label_id: uuid.UUID, caller: CallerDep, session: SessionDep) -> UndoneOut:
    """Take back one's own label; its pair comes back."""
    card, progress = service.undo(session, caller, label_id)
    return UndoneOut(card=card, progress=progress)


@router.get("/items/{item_id}/labels")
def item_labels(item_id: uuid.UUID, caller: CallerDep, session: SessionDep) -> Labels:
    """Every version of an item's labels; annotators see their own, in the order they saw."""
    own = caller.role is Role.annotator
    return _page(service.of_item(session, caller, item_id, own=own), None, own=own)


@router.get("/datasets/{dataset_id}/labels")
def dataset_labels(
    dataset_id: uuid.UUID,
    caller: CallerDep,
    session: SessionDep,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Labels:
    """The labels that count in a dataset; annotators see their own, in the order they saw."""
    own = caller.role is Role.annotator
    rows, following = service.of_dataset(session, caller, dataset_id, cursor, limit, own=own)
    return _page(rows, following, own=own)


@router.post("/leases/{token}/renew")
def renew(token: uuid.UUID, caller: CallerDep, session: SessionDep) -> RenewedOut:
    """Keep a pair for ten minutes more."""
    return RenewedOut.model_validate(leases.renew(session, caller.project_id, caller.user.id, token))


@router.delete("/leases/{token}", status_code=204)
def release(token: uuid.UUID, caller: CallerDep, session: SessionDep) -> None:
    """Give a pair back."""
    leases.release(session, caller.project_id, caller.user.id, token)


def _own(label: Label) -> OwnLabelOut:
    out = OwnLabelOut.model_validate(label)
    return out.model_copy(update={"value": turned(label.value, label.swapped)})


def _page(rows: Sequence[Row[Label, str | None]], following: str | None, *, own: bool) -> Labels:
    if own:
        return Page[OwnLabelOut](items=[_own(label) for label, _ in rows], next_cursor=following)
    named = [
        LabelOut(
            **OwnLabelOut.model_validate(label).model_dump(),
            annotator_id=label.annotator_id,
            annotator=name,
            source=label.source,
            swapped=label.swapped,
        )
        for label, name in rows
    ]
    return Page[LabelOut](items=named, next_cursor=following)
