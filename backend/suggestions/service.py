"""Storing suggestions, and putting the least certain items first."""

import uuid
from collections.abc import Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from alignment.formats import BadRow
from alignment.formats.native import judgement
from backend import paging
from backend.datasets.models import Item
from backend.errors import Conflict, Invalid, NotFound
from backend.projects.models import Project
from backend.suggestions import jobs
from backend.suggestions.models import Suggestion
from backend.suggestions.schemas import SuggestedOut, SuggestionIn, SuggestionsIn, SuggestionsOut
from backend.tasks import answers, places
from backend.tasks.models import Order, Task
from backend.tasks.schemas import Question


class NotSuggestible(Invalid):
    title = "Not a suggestion for this task"


class StillSuggesting(Conflict):
    title = "Still suggesting"


def task_of(session: Session, project: Project, task_id: uuid.UUID) -> Task:
    """The task, if it is this project's.  Raises NotFound."""
    task = session.get(Task, task_id)
    if task is None or task.project_id != project.id:
        raise NotFound.of("task")
    return task


def take(session: Session, task: Task, body: SuggestionsIn) -> SuggestionsOut:
    """Store what a machine would say, in place of what was suggested before; order the task by it where it asks so.

    Raises NotSuggestible.
    """
    wanted = {one.item_id: one for one in body.suggestions}
    if len(wanted) < len(body.suggestions):
        raise _refused("An item is named twice.", "suggestions")
    query = select(Item).where(Item.id.in_(wanted), Item.dataset_id == task.dataset_id)
    items = {item.id: item for item in session.scalars(query)}
    question = Question.model_validate(task.question)
    rows = []
    for number, one in enumerate(body.suggestions):
        said = {"value": _value(question, items.get(one.item_id), one, number), "margin": one.margin}
        own = {"project_id": task.project_id, "task_id": task.id, "item_id": one.item_id}
        rows.append(own | said | {"by": {"words": body.by}})
    statement = insert(Suggestion).values(rows)
    changed = {name: statement.excluded[name] for name in ("by", "value", "margin")}
    session.execute(statement.on_conflict_do_update(index_elements=["task_id", "item_id"], set_=changed))
    ordered = task.order is Order.uncertainty
    if ordered:
        places.prioritize(session, task, {one.item_id: -one.margin for one in body.suggestions})
    return SuggestionsOut(stored=len(rows), ordered=ordered)


def of_item(session: Session, task: Task, item_id: uuid.UUID) -> Suggestion | None:
    """What is suggested for an item of a task."""
    own = Suggestion.task_id == task.id, Suggestion.item_id == item_id
    return session.scalars(select(Suggestion).where(*own)).first()


def page(session: Session, task: Task, cursor: str | None, limit: int) -> tuple[Sequence[Suggestion], str | None]:
    """What is suggested for a task, newest first, and the cursor of the next page."""
    return paging.page(session, select(Suggestion).where(Suggestion.task_id == task.id), Suggestion.id, cursor, limit)


def suggested(session: Session, task: Task) -> list[SuggestedOut]:
    """For how many items of a task each machine suggests something, the most first."""
    words = Suggestion.by["words"].astext
    query = select(words, func.count()).where(Suggestion.task_id == task.id).group_by(words)
    rows = session.execute(query.order_by(func.count().desc(), words))
    return [SuggestedOut(by=row[0], items=row[1]) for row in rows]


def remove(session: Session, task: Task) -> None:
    """Afterwards nothing is suggested for the task; labels that were made beside a suggestion say so still.

    Raises StillSuggesting.
    """
    if jobs.going_on(session, task):
        raise StillSuggesting("Suggestions for this task are being made.", remedy="Cancel that first.")
    session.refresh(task, with_for_update={"key_share": True})
    session.execute(delete(Suggestion).where(Suggestion.task_id == task.id))
    if task.order is Order.uncertainty:
        places.reorder(session, task)


def _value(question: Question, item: Item | None, one: SuggestionIn, number: int) -> dict[str, object]:
    field = f"suggestions.{number}"
    if item is None:
        raise _refused(f"The task's dataset has no item {one.item_id}.", f"{field}.item_id")
    try:
        value = judgement(one.value, f"{field}.value", len(item.responses))
    except BadRow as bad:
        raise _refused(bad.reason, bad.field) from None
    if "skip" in value:
        raise _refused("A skip suggests nothing.", f"{field}.value")
    try:
        answers.check(question, value, len(item.responses))
    except answers.UnknownChoice as unknown:
        raise _refused(unknown.detail, f"{field}.value") from None
    return value


def _refused(detail: str, field: str) -> NotSuggestible:
    return NotSuggestible(detail, field=field, remedy="Suggest what the task asks. Nothing was stored.")
