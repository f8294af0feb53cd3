"""Routes of single items: one with all that is known of it, its history, taking it out and back in."""

import uuid

from fastapi import APIRouter

from backend.accounts.models import Role
from backend.datasets import judgements
from backend.deps import CurrentUser, PlaceDep, ProjectDep, Researcher, SessionDep
from backend.items import history, service
from backend.items.schemas import ItemDetail, ItemEventOut, KnownAnswer, RestoreIn, ShownItem, WithdrawIn
from backend.items.service import Known
from backend.labels.messages import shown
from backend.paging import Cursor, Limit, Page

router = APIRouter(tags=["items"])


@router.get("/items/{item_id}")
def read_item(item_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> ItemDetail:
    """One item with the labels that count, the answer that is known to it, and whether it is withdrawn."""
    return _out(session, service.know(session, project, item_id))


@router.get("/items/{item_id}/history")
def read_history(
    item_id: uuid.UUID,
    user: CurrentUser,
    place: PlaceDep,
    session: SessionDep,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[ItemEventOut]:
    """What happened to an item, newest first. Annotators see what they did themselves, and no names."""
    item = service.find(session, place.project.id, item_id)
    own = user.id if place.role is Role.annotator else None
    events, following = history.read(session, item, cursor, limit, own)
    return Page(items=list(events), next_cursor=following)


@router.post("/items/{item_id}/withdraw")
def withdraw_item(
    item_id: uuid.UUID, body: WithdrawIn, user: Researcher, project: ProjectDep, session: SessionDep
) -> ItemDetail:
    """Take an item out of the labelling and of snapshots; its labels stay."""
    return _out(session, service.withdraw(session, project, user, item_id, body.reason))


@router.post("/items/{item_id}/restore")
def restore_item(
    item_id: uuid.UUID, body: RestoreIn, user: Researcher, project: ProjectDep, session: SessionDep
) -> ItemDetail:
    """Bring a withdrawn item back."""
    return _out(session, service.restore(session, project, user, item_id, body.reason))


def _out(session: SessionDep, known: Known) -> ItemDetail:
    item, dataset, gold, reason = known
    labels = judgements.current(session, [item.id]).get(item.id, [])
    columns = {name: getattr(item, name) for name in ("id", "position", "split", "prompt", "responses", "facts")}
    return ItemDetail(
        **columns,
        labels=[{"source": label.source.value, "value": label.value} for label in labels],
        dataset_id=dataset.id,
        dataset_name=dataset.name,
        kind=dataset.kind,
        shown=ShownItem(prompt=[shown(one) for one in item.prompt], responses=[shown(one) for one in item.responses]),
        withdrawn_at=item.withdrawn_at,
        withdrawn_reason=reason,
        gold=None if gold is None else KnownAnswer.model_validate(gold),
    )
