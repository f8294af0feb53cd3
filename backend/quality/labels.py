"""Every label that a number was counted of, one by one, with how it came about."""

import uuid
from typing import Literal

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from backend import paging
from backend.accounts.models import User
from backend.datasets.models import Item
from backend.labels.models import Label, LabelSource
from backend.labels.queries import newest, retracted, unchanged
from backend.quality.reading import Scope, meant
from backend.quality.schemas import QualityLabelOut

Side = Literal["left", "right"]


def page(
    session: Session,
    scope: Scope,
    cursor: str | None,
    limit: int,
    *,
    annotator_id: uuid.UUID | None = None,
    name: str | None = None,
    item_id: uuid.UUID | None = None,
) -> tuple[list[QualityLabelOut], str | None]:
    """Labels of a scope, every version, newest first: of one annotator, or of one item, if asked for."""
    stands = newest(Label) if scope.task is None else unchanged(Label)
    counts = and_(stands, ~retracted(Label)).label("counts")
    query = select(Label, counts, Item.position, User.name).join(Item, Item.id == Label.item_id)
    query = query.outerjoin(User, User.id == Label.annotator_id).where(meant(scope))
    if annotator_id is not None:
        query = query.where(Label.annotator_id == annotator_id)
    if name is not None:
        query = query.where(Label.value["annotator"].astext == name)
    if item_id is not None:
        query = query.where(Label.item_id == item_id)
    rows, following = paging.page_of_rows(session, query, Label.id, cursor, limit)
    return [_told(label, name, place, stands=stands) for label, stands, place, name in rows], following


def _told(label: Label, name: str | None, position: int, *, stands: bool) -> QualityLabelOut:
    return QualityLabelOut(
        id=label.id,
        item_id=label.item_id,
        position=position,
        annotator_id=label.annotator_id,
        annotator=name or label.value.get("annotator"),
        source=label.value.get("origin") or label.source.value,
        value={part: said for part, said in label.value.items() if part not in ("annotator", "origin")},
        version=label.version,
        counts=stands,
        seconds=label.seconds,
        side=_side(label),
        surplus=label.surplus,
        aided=label.aided,
        rationale=label.rationale,
        created_at=label.created_at,
    )


def _side(label: Label) -> Side | None:
    """Where the response stood that somebody here chose of two."""
    strength = label.value.get("strength")
    if not strength or label.source not in (LabelSource.person, LabelSource.vote):
        return None
    return "left" if (strength > 0) != label.swapped else "right"
