"""Known answers: items by which labels are measured, mixed into the stream of tasks that want some."""

import uuid

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from backend import paging
from backend.accounts.models import User
from backend.datasets import service as datasets
from backend.datasets.models import Item
from backend.errors import NotFound
from backend.labels import leases
from backend.labels.schemas import AnswerIn
from backend.projects.models import Project
from backend.tasks import answers, places
from backend.tasks.answers import UnknownChoice
from backend.tasks.models import Gold
from backend.tasks.schemas import GoldIn, GoldOut, Question


def put(session: Session, project: Project, user: User, item_id: uuid.UUID, body: GoldIn) -> GoldOut:
    """Afterwards this is the known answer to the item.  Raises NotFound, UnknownChoice."""
    item = _item(session, project, item_id)
    value = _checked(body, len(item.responses))
    row = {
        "project_id": project.id,
        "dataset_id": item.dataset_id,
        "item_id": item.id,
        "value": value,
        "note": body.note,
        "created_by": user.id,
    }
    written = insert(Gold).values(row)
    changed = {name: written.excluded[name] for name in ("value", "note", "created_by")}
    written = written.on_conflict_do_update(index_elements=[Gold.item_id], set_=changed)
    gold = session.scalars(written.returning(Gold), execution_options={"populate_existing": True}).one()
    _mark(session, item, gold=True)
    return _told(gold, item.position)


def _told(gold: Gold, position: int) -> GoldOut:
    return GoldOut(
        item_id=gold.item_id,
        position=position,
        dataset_id=gold.dataset_id,
        value=gold.value,
        note=gold.note,
        created_by=gold.created_by,
        created_at=gold.created_at,
    )


def _checked(body: GoldIn, count: int) -> dict[str, object]:
    """The value, if some question about so many responses could have it for an answer.  Raises UnknownChoice."""
    try:
        value = AnswerIn.model_validate(body.value).as_shown()
    except ValidationError:
        value = {"skip": ""}
    if "skip" in value:
        raise UnknownChoice(
            "A known answer is one of strength, both_bad, ranking and thumb.", field="value", remedy="Give one of them."
        )
    kind = "ranking" if "ranking" in value else "thumb" if "thumb" in value else "pair"
    if (kind == "pair" and count != 2) or (kind == "thumb" and count != 1):
        raise UnknownChoice(
            f"No question about {count} responses has this answer.", field="value", remedy="Give another."
        )
    answers.check(Question(kind=kind), value, count)
    return value


def remove(session: Session, project: Project, item_id: uuid.UUID) -> None:
    """Afterwards the item is like any other.  Raises NotFound when it has no known answer."""
    item = _item(session, project, item_id)
    gold = session.scalars(select(Gold).where(Gold.item_id == item.id)).first()
    if gold is None:
        raise NotFound.of("known answer")
    session.delete(gold)
    _mark(session, item, gold=False)


def _mark(session: Session, item: Item, *, gold: bool) -> None:
    for place in places.lock_all(session, [item.id]):
        place.gold = gold
    session.flush()


def page(
    session: Session, project: Project, dataset_id: uuid.UUID, cursor: str | None, limit: int
) -> tuple[list[GoldOut], str | None]:
    """The known answers of a dataset, newest first, and the cursor of the next page.  Raises NotFound."""
    dataset = datasets.find(session, project, dataset_id)
    query = select(Gold, Item.position).join(Item, Item.id == Gold.item_id).where(Gold.dataset_id == dataset.id)
    rows, following = paging.page_of_rows(session, query, Gold.id, cursor, limit)
    return [_told(gold, position) for gold, position in rows], following


def _item(session: Session, project: Project, item_id: uuid.UUID) -> Item:
    """The item, locked, so that no place of it is made that misses what is known.  Raises NotFound."""
    item = session.get(Item, item_id)
    if item is None or item.project_id != project.id:
        raise NotFound.of("item")
    places.hold_off(session, item.dataset_id)
    return leases.lock(session, item.id)
