"""Routes of labelling: cards, labels, undo, leases, and how far every dataset is."""

import uuid
from collections.abc import Sequence

from fastapi import APIRouter, Response
from sqlalchemy import Row

from backend.accounts.models import Role
from backend.deps import SessionDep, answered
from backend.labels import leases, service, submitting
from backend.labels.caller import CallerDep
from backend.labels.cards import as_shown
from backend.labels.direct import Direct
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
from backend.paging import Cursor, Limit, Page
from backend.tasks import service as tasks

router = APIRouter(tags=["labels"])
Labels = Page[LabelOut] | Page[OwnLabelOut]


@router.get("/progress")
def list_progress(caller: CallerDep, session: SessionDep, dataset_id: uuid.UUID | None = None) -> Page[DatasetProgress]:
    """Every dataset of pairs, rankings or single answers, or the one, and how far it is labelled, newest first."""
    return Page(items=service.queue(session, caller, dataset_id))


@router.post("/datasets/{dataset_id}/cards", response_model=CardsOut)
def next_dataset_cards(dataset_id: uuid.UUID, body: CardsIn, caller: CallerDep, session: SessionDep) -> Response:
    """The same for who names a dataset only: in the newest task that is open for them, in the dataset's own where
    nobody made any."""
    task = tasks.of_dataset(session, caller, service.find_dataset(session, caller, dataset_id))
    cards, progress = submitting.next_cards(session, caller, task, body.n, body.holding)
    return answered(session, CardsOut(task_id=task.id, cards=cards, progress=progress))


def submit(item_id: uuid.UUID, body: LabelIn, caller: CallerDep, session: SessionDep) -> Response:
    """Judge an item; the value is in the order shown. Sent again with the same `client_id`, it is stored once."""
    label, card, progress = submitting.submit(session, caller, item_id, body)
    late = submitting.is_late(session, label)
    return answered(session, SubmittedOut(label=as_shown(label), next=card, progress=progress, late=late), 201)


router.add_api_route(
    "/items/{item_id}/labels",
    submit,
    methods=["POST"],
    status_code=201,
    response_model=SubmittedOut,
    route_class_override=Direct,
)


@router.post("/labels/{label_id}/undo")
def undo(label_id: uuid.UUID, caller: CallerDep, session: SessionDep) -> UndoneOut:
    """Take back one's own label; its card comes back unless others have it by now."""
    card, progress = submitting.undo(session, caller, label_id)
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
    return RenewedOut.model_validate(leases.renew(session, caller, token))


@router.delete("/leases/{token}", status_code=204)
def release(token: uuid.UUID, caller: CallerDep, session: SessionDep) -> None:
    """Give a pair back."""
    leases.release(session, caller.project_id, caller.user.id, token)


def _page(rows: Sequence[Row[Label, str | None]], following: str | None, *, own: bool) -> Labels:
    if own:
        return Page[OwnLabelOut](items=[as_shown(label) for label, _ in rows], next_cursor=following)
    named = [
        LabelOut(
            **OwnLabelOut.model_validate(label).model_dump(),
            annotator_id=label.annotator_id,
            annotator=name,
            source=label.source,
            swapped=label.swapped,
            surplus=label.surplus,
            aided=label.aided,
        )
        for label, name in rows
    ]
    return Page[LabelOut](items=named, next_cursor=following)
