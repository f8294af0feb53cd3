"""The route that takes suggestions."""

import uuid

from fastapi import APIRouter

from backend.deps import ProjectDep, Researcher, SessionDep
from backend.errors import NotFound
from backend.suggestions import service
from backend.suggestions.schemas import SuggestionsIn, SuggestionsOut
from backend.tasks.models import Task

router = APIRouter(tags=["tasks"])


@router.put("/tasks/{task_id}/suggestions")
def take_suggestions(
    task_id: uuid.UUID, body: SuggestionsIn, _: Researcher, session: SessionDep, project: ProjectDep
) -> SuggestionsOut:
    """Store what a machine would answer. Cards show it, marked so, where the task's assistance says that they do."""
    task = session.get(Task, task_id)
    if task is None or task.project_id != project.id:
        raise NotFound.of("task")
    return service.take(session, task, body)
