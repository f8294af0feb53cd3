"""Where people say what they say of an item: in a task, outside of all, or to settle what others disagree on.

What they say there again replaces what they said there before, and nothing that they said elsewhere.
"""

import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm.util import AliasedClass

from backend.labels.models import Label, LabelSource
from backend.tasks.models import Task

AnyLabel = type[Label] | AliasedClass[Label]


def task_of(label: AnyLabel) -> ColumnElement[Any]:
    """The task that the label answers; none for the standing one, which counts what is said outside of tasks, too."""
    return select(Task.id).where(Task.id == label.task_id, ~Task.standing).correlate(label).scalar_subquery()


def same(one: AnyLabel, other: AnyLabel) -> ColumnElement[bool]:
    """Both are versions of what one person says of an item in one place.  Nobody's labels are never the same."""
    settles = (one.source == LabelSource.adjudication) == (other.source == LabelSource.adjudication)
    whose = one.item_id == other.item_id, one.annotator_id == other.annotator_id
    return and_(*whose, settles, task_of(one).is_not_distinct_from(task_of(other)))


class Spoken(NamedTuple):
    """What counts of one of an item's labels, in which place it was said (`task_of`), and the request it came with."""

    id: uuid.UUID
    annotator_id: uuid.UUID | None
    source: LabelSource
    version: int
    value: Mapping[str, Any]
    voice: uuid.UUID | None
    task_id: uuid.UUID | None
    surplus: bool
    client_id: uuid.UUID | None

    @property
    def said(self) -> tuple[uuid.UUID | None, LabelSource, int, Mapping[str, Any], uuid.UUID | None]:
        """Whose it is, its source and version, what it says, and where."""
        return self[1:6]

    def answers(self, task: Task) -> bool:
        """Whether it is a person's answer to the task; what people said outside of tasks answers the standing one."""
        if self.annotator_id is None or self.source is LabelSource.adjudication:
            return False
        return self.task_id == task.id or (task.standing and self.task_id is None)


SPOKEN = (
    Label.id,
    Label.annotator_id,
    Label.source,
    Label.version,
    Label.value,
    task_of(Label).label("voice"),
    Label.task_id,
    Label.surplus,
    Label.client_id,
)
"""The columns of a `Spoken`."""


def spoken(label: Label, task: Task | None) -> Spoken:
    """The same of a label that was just added, and answers the task if there is one."""
    voice = None if task is None or task.standing else task.id
    said = label.id, label.annotator_id, label.source, label.version, label.value, voice
    return Spoken(*said, label.task_id, label.surplus, label.client_id)
