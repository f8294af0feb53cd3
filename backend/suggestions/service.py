"""Storing suggestions, and putting the least certain items first."""

import uuid

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from alignment.formats import BadRow
from alignment.formats.native import judgement
from backend.datasets.models import Item
from backend.errors import Invalid
from backend.suggestions.models import Suggestion
from backend.suggestions.schemas import SuggestionIn, SuggestionsIn, SuggestionsOut
from backend.tasks import answers, places
from backend.tasks.models import Order, Task
from backend.tasks.schemas import Question


class NotSuggestible(Invalid):
    title = "Not a suggestion for this task"


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
