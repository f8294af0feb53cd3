"""Routes of suggestions: sent by programs, or made here by a judge."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends

from backend.audit import service as audit
from backend.deps import OnceDep, ProjectDep, Researcher, SessionDep
from backend.paging import Cursor, Limit, Page
from backend.suggestions import jobs, service, sizing
from backend.suggestions.schemas import (
    ResumeSuggestionsIn,
    SuggestedOut,
    SuggestionJobIn,
    SuggestionJobOut,
    SuggestionOut,
    SuggestionsIn,
    SuggestionSizeOut,
    SuggestionsOut,
)
from backend.tasks.models import Task

router = APIRouter(tags=["suggestions"])


def _task(task_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> Task:
    return service.task_of(session, project, task_id)


TaskDep = Annotated[Task, Depends(_task)]


@router.put("/tasks/{task_id}/suggestions")
def take_suggestions(task: TaskDep, body: SuggestionsIn, session: SessionDep) -> SuggestionsOut:
    """Store what a machine would answer. Cards show it, marked so, where the task's assistance says that they do."""
    return service.take(session, task, body)


@router.get("/tasks/{task_id}/suggestions")
def list_suggestions(
    task: TaskDep, session: SessionDep, cursor: Cursor = None, limit: Limit = 100
) -> Page[SuggestionOut]:
    """What is suggested for a task, newest first."""
    rows, following = service.page(session, task, cursor, limit)
    found = [SuggestionOut(item_id=one.item_id, by=one.by["words"], value=one.value, margin=one.margin) for one in rows]
    return Page(items=found, next_cursor=following)


@router.delete("/tasks/{task_id}/suggestions", status_code=204)
def remove_suggestions(task: TaskDep, user: Researcher, session: SessionDep) -> None:
    """Forget them all; labels that were made beside one say so still."""
    service.remove(session, task)
    audit.record(session, user, task.project_id, "remove_suggestions", "task", task.id, {"name": task.name})


@router.get("/tasks/{task_id}/suggesters")
def list_suggesters(task: TaskDep, session: SessionDep) -> list[SuggestedOut]:
    """Which machines suggest something for a task, and for how many of its items."""
    return service.suggested(session, task)


@router.post("/tasks/{task_id}/suggestion-jobs", status_code=202)
def suggest(
    task: TaskDep, body: SuggestionJobIn, user: Researcher, project: ProjectDep, session: SessionDep, once: OnceDep
) -> SuggestionJobOut:
    """Let a judge, a reward model or an implicit reward suggest a label for every item that wants some."""

    def make() -> SuggestionJobOut:
        row = jobs.request(session, project, user, task, body)
        told = {"name": task.name, "by": row.words}
        audit.record(session, user, project.id, "suggest", "task", task.id, told)
        return SuggestionJobOut.model_validate(row)

    return once(body, SuggestionJobOut, make)


@router.post("/tasks/{task_id}/suggestion-jobs/preflight")
def preflight(
    task: TaskDep, body: SuggestionJobIn, _: Researcher, project: ProjectDep, session: SessionDep
) -> SuggestionSizeOut:
    """What letting a judge suggest would take and cost; nothing is started."""
    return sizing.measure(session, project, task, body)


@router.get("/tasks/{task_id}/suggestion-jobs")
def list_jobs(task: TaskDep, session: SessionDep, cursor: Cursor = None, limit: Limit = 20) -> Page[SuggestionJobOut]:
    """Work that suggested labels for a task, newest first."""
    rows, following = jobs.page(session, task, cursor, limit)
    return Page(items=[SuggestionJobOut.model_validate(row) for row in rows], next_cursor=following)


@router.get("/suggestion-jobs/{suggestion_job_id}")
def get_job(suggestion_job_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> SuggestionJobOut:
    """One of them, with how far it is."""
    return SuggestionJobOut.model_validate(jobs.find(session, project, suggestion_job_id))


@router.post("/suggestion-jobs/{suggestion_job_id}/cancel")
def cancel_job(
    suggestion_job_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep
) -> SuggestionJobOut:
    """Stop it; what it has suggested stays."""
    return SuggestionJobOut.model_validate(jobs.cancel(session, project, suggestion_job_id))


@router.post("/suggestion-jobs/{suggestion_job_id}/resume")
def resume_job(
    suggestion_job_id: uuid.UUID,
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    body: ResumeSuggestionsIn | None = None,
) -> SuggestionJobOut:
    """Let what failed or was cancelled go on; items that are dealt with are not read again."""
    row = jobs.resume(session, project, suggestion_job_id, body.limits if body else None)
    return SuggestionJobOut.model_validate(row)
