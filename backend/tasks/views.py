"""Tasks as they are answered: with their dataset's name and how far they are."""

import uuid
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.accounts.models import User
from backend.datasets.models import Dataset
from backend.labels.caller import Caller
from backend.render import render
from backend.tasks import progress
from backend.tasks.models import Task, TaskPerson
from backend.tasks.schemas import TaskDetail, TaskOut, TaskPersonOut


def drawn(session: Session, caller: Caller, tasks: Sequence[Task]) -> list[TaskOut | TaskDetail]:
    """The tasks, as much of each as the caller may see."""
    ids = {task.dataset_id for task in tasks}
    datasets = {one.id: one for one in session.scalars(select(Dataset).where(Dataset.id.in_(ids)))}
    counted = progress.of(session, caller.user.id, tasks)
    people = _people(session, [task.id for task in tasks]) if caller.researches else {}
    found: list[TaskOut | TaskDetail] = []
    for task in tasks:
        dataset = datasets[task.dataset_id]
        out = {
            "id": task.id,
            "dataset_id": dataset.id,
            "dataset": dataset.name,
            "dataset_kind": dataset.kind,
            "name": task.name,
            "question": task.question,
            "guidelines": task.guidelines,
            "guidelines_html": render(task.guidelines),
            "overlap": task.overlap,
            "deadline": task.deadline,
            "standing": task.standing,
            "closed_at": task.closed_at,
            "created_at": task.created_at,
            "assistance": task.assistance,
            "progress": counted[task.id],
        }
        if not caller.researches:
            found.append(TaskOut.model_validate(out))
            continue
        own = {"gold_share": task.gold_share, "order": task.order, "seed": task.seed, "created_by": task.created_by}
        found.append(TaskDetail.model_validate(out | own | {"people": people.get(task.id, [])}))
    return found


def _people(session: Session, task_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[TaskPersonOut]]:
    query = select(TaskPerson.task_id, User.id, User.name).join(User, User.id == TaskPerson.user_id)
    found: dict[uuid.UUID, list[TaskPersonOut]] = {}
    for task_id, user_id, name in session.execute(query.where(TaskPerson.task_id.in_(task_ids)).order_by(User.name)):
        found.setdefault(task_id, []).append(TaskPersonOut(id=user_id, name=name))
    return found
