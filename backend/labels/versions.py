"""Versions of a person's label of an item: the newest counts, one that takes it back is a version too.

All that a person says of an item is numbered in one row; what a version replaces is what they said in the same task, or
as they settled the item.
"""

import uuid
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from backend.labels import leases, tallies, voices
from backend.labels.models import Label
from backend.labels.voices import Spoken
from backend.tasks import places
from backend.tasks.models import Place, Task


def following(session: Session, annotator_id: uuid.UUID | None, item_id: uuid.UUID) -> int:
    """The number of the next version of what the person says of the item, which the caller has locked."""
    own = Label.annotator_id == annotator_id, Label.item_id == item_id
    return (session.scalar(select(func.max(Label.version)).where(*own)) or 0) + 1


def answer(session: Session, annotator_id: uuid.UUID, item_id: uuid.UUID, task: Task) -> Label | None:
    """The newest version of the person's answer to the task, also one that says that they took it back."""
    own = Label.annotator_id == annotator_id, Label.item_id == item_id, leases.in_task(task.id, standing=task.standing)
    return session.scalars(select(Label).where(*own).order_by(Label.version.desc()).limit(1)).first()


def newest(session: Session, label: Label) -> Sequence[Label]:
    """The last two versions of what the person said in the place where they gave this label, the newest first."""
    given = aliased(Label)
    query = select(Label).join(given, voices.same(given, Label)).where(given.id == label.id)
    return session.scalars(query.order_by(Label.version.desc()).limit(2)).all()


def is_surplus(task: Task, place: Place, answer: Label | Spoken | None) -> bool:
    """Whether the task has all its labels of the item, without the person's answer so far, which they may change."""
    if answer is not None and not {"skip", "retracted"} & answer.value.keys():
        return answer.surplus
    return place.taken >= places.wanted(task, place)


def take_back(session: Session, label: Label) -> None:
    """A new version of a person's newest label that says that they said nothing.  The caller has locked the item."""
    row = Label(
        project_id=label.project_id,
        item_id=label.item_id,
        dataset_id=label.dataset_id,
        annotator_id=label.annotator_id,
        task_id=label.task_id,
        source=label.source,
        kind=label.kind,
        value={"retracted": True},
        swapped=label.swapped,
        version=following(session, label.annotator_id, label.item_id),
    )
    session.add(row)
    tallies.note(session, row)
