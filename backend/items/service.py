"""Items one by one: finding them, withdrawing them and bringing them back."""

import uuid
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from backend.accounts.models import User
from backend.audit import service as audit
from backend.datasets.models import Dataset, Item
from backend.errors import Conflict, NotFound
from backend.items.models import Withdrawal
from backend.labels import leases, tallies
from backend.labels.models import Lease
from backend.projects.models import Project
from backend.tasks import places
from backend.tasks.models import Gold


class AlreadyWithdrawn(Conflict):
    title = "Already withdrawn"


class NotWithdrawn(Conflict):
    title = "Not withdrawn"


class Known(NamedTuple):
    """An item with its dataset, the answer that is known to it, and why it is withdrawn."""

    item: Item
    dataset: Dataset
    gold: Gold | None
    reason: str | None


def find(session: Session, project_id: uuid.UUID, item_id: uuid.UUID) -> Item:
    """An item of the project.  Raises NotFound for one that is missing just as for one that is somebody else's."""
    item = session.get(Item, item_id)
    if item is None or item.project_id != project_id:
        raise NotFound.of("item")
    return item


def know(session: Session, project: Project, item_id: uuid.UUID) -> Known:
    """All that a lead wants to know of an item.  Raises NotFound."""
    item = find(session, project.id, item_id)
    gold = session.scalars(select(Gold).where(Gold.item_id == item.id)).first()
    last = select(Withdrawal.reason).where(Withdrawal.item_id == item.id).order_by(Withdrawal.id.desc()).limit(1)
    reason = session.scalar(last) if item.withdrawn_at is not None else None
    return Known(item, session.get_one(Dataset, item.dataset_id), gold, reason)


def withdraw(session: Session, project: Project, user: User, item_id: uuid.UUID, reason: str) -> Known:
    """Take an item out of the labelling and out of snapshots: who has it on the screen cannot answer it any more.

    Raises AlreadyWithdrawn.
    """
    item = _locked(session, project, item_id)
    if item.withdrawn_at is not None:
        raise AlreadyWithdrawn("This item is withdrawn already.", remedy="Restore it to have it labelled again.")
    tallies.note_withdrawal(session, item, withdrawn=True)
    held = Lease.item_id == item.id, Lease.expires_at > func.now()
    session.execute(update(Lease).where(*held).values(expires_at=func.now()))
    return _turn(session, project, user, item, func.now(), reason)


def restore(session: Session, project: Project, user: User, item_id: uuid.UUID, reason: str) -> Known:
    """Bring a withdrawn item back, with all its labels.  Raises NotWithdrawn."""
    item = _locked(session, project, item_id)
    if item.withdrawn_at is None:
        raise NotWithdrawn("This item is not withdrawn.", remedy="There is nothing to restore.")
    tallies.note_withdrawal(session, item, withdrawn=False)
    return _turn(session, project, user, item, None, reason)


def _locked(session: Session, project: Project, item_id: uuid.UUID) -> Item:
    item = find(session, project.id, item_id)
    places.hold_off(session, item.dataset_id)
    return leases.lock(session, item.id)


def _turn(
    session: Session,
    project: Project,
    user: User,
    item: Item,
    withdrawn_at: ColumnElement[datetime] | None,
    reason: str,
) -> Known:
    item.withdrawn_at = withdrawn_at
    restored = withdrawn_at is None
    row = {"project_id": project.id, "item_id": item.id, "restored": restored, "reason": reason}
    session.add(Withdrawal(**row, created_by=user.id))
    session.flush()
    session.refresh(item)
    audit.record(session, user, project.id, "restore" if restored else "withdraw", "item", item.id)
    return know(session, project, item.id)
