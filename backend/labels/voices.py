"""Where people say what they say of an item: in a task, outside of all, or to settle what others disagree on.

What they say there again replaces what they said there before, and nothing that they said elsewhere.
"""

from typing import Any

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
