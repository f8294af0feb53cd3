"""Work that suggests labels: asked for, watched, stopped, continued, and swept when its worker has died."""

import uuid
from collections.abc import Sequence

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from backend import paging
from backend.accounts.models import User
from backend.errors import Conflict, NotFound
from backend.evaluations.schemas import LimitsIn
from backend.evaluations.sizing import refuse_unpriced
from backend.projects.models import Project
from backend.queue import ring
from backend.suggestions import suggesters
from backend.suggestions.holding import unfinished
from backend.suggestions.models import SuggestionJob, SuggestionScore
from backend.suggestions.schemas import SuggestionJobIn
from backend.tasks.ending import refuse_ended
from backend.tasks.models import Task
from backend.tasks.schemas import Question
from backend.work import State, request_stop, retry_silent

MOST_ATTEMPTS = 3


class AlreadySuggesting(Conflict):
    title = "Already suggesting"


class NotStopped(Conflict):
    title = "Not stopped"


def request(session: Session, project: Project, user: User, task: Task, body: SuggestionJobIn) -> SuggestionJob:
    """A queued row; a worker is rung once the transaction commits.

    Raises TaskClosed, DeadlinePassed, AlreadySuggesting, NoPrice, and what `suggesters.find` does.
    """
    _refuse_second(session, task)
    found = suggesters.find(session, project, Question.model_validate(task.question), body.judge)
    if body.limits is not None:
        refuse_unpriced(found.models.values(), body.limits)
    former = select(SuggestionJob.id).where(SuggestionJob.task_id == task.id)
    session.execute(delete(SuggestionScore).where(SuggestionScore.job_id.in_(former)))
    row = SuggestionJob(
        project_id=project.id,
        task_id=task.id,
        judge=found.judge.model_dump(mode="json"),
        words=found.words,
        limits=body.limits.model_dump() if body.limits else None,
        created_by=user.id,
    )
    session.add(row)
    session.flush()
    ring(session, "suggest")
    return row


def _refuse_second(session: Session, task: Task) -> None:
    """The task is locked afterwards, so that two who ask at once come one after the other."""
    session.refresh(task, with_for_update={"key_share": True})
    refuse_ended(task)
    if going_on(session, task):
        raise AlreadySuggesting(
            "Suggestions for this task are being made already.", remedy="Wait until they are, or cancel that first."
        )


def going_on(session: Session, task: Task) -> bool:
    """Whether suggestions for the task are being made, or wait for their turn."""
    return bool(session.scalar(select(exists().where(SuggestionJob.task_id == task.id, unfinished()))))


def page(session: Session, task: Task, cursor: str | None, limit: int) -> tuple[Sequence[SuggestionJob], str | None]:
    """What was asked for about a task, newest first, and the cursor of the next page."""
    query = select(SuggestionJob).where(SuggestionJob.task_id == task.id)
    return paging.page(session, query, SuggestionJob.id, cursor, limit)


def find(session: Session, project: Project, job_id: uuid.UUID, *, lock: bool = False) -> SuggestionJob:
    """Raises NotFound."""
    row = session.get(SuggestionJob, job_id, with_for_update=lock)
    if row is None or row.project_id != project.id:
        raise NotFound.of("suggestion job")
    return row


def cancel(session: Session, project: Project, job_id: uuid.UUID) -> SuggestionJob:
    """Ask it to stop; what it has suggested stays.  Raises AlreadyEnded."""
    row = find(session, project, job_id, lock=True)
    request_stop(row)
    return row


def resume(session: Session, project: Project, job_id: uuid.UUID, limits: LimitsIn | None = None) -> SuggestionJob:
    """Queue what failed or was cancelled once more: it goes on behind the items that are dealt with.

    `limits` replace the old ones.  Raises NotStopped, and what `request` does.
    """
    task = session.get_one(Task, find(session, project, job_id).task_id)
    _refuse_second(session, task)
    row = find(session, project, job_id, lock=True)
    newer = exists().where(SuggestionJob.task_id == task.id, SuggestionJob.id > row.id)
    if row.state not in (State.failed, State.cancelled) or session.scalar(select(newer)):
        raise NotStopped(
            f"This work is {row.state}.", remedy="Only the newest of a task, which failed or was cancelled, can go on."
        )
    found = suggesters.find(session, project, Question.model_validate(task.question), row.judge)
    if limits is not None:
        refuse_unpriced(found.models.values(), limits)
        row.limits = limits.model_dump()
    row.state, row.stop_requested, row.attempts = State.queued, False, 0
    row.reason = row.remedy = row.finished_at = None
    session.flush()
    ring(session, "suggest")
    return row


def sweep(session: Session) -> int:
    """Queue what a dead worker had in hand again, up to three times; returns how many rows that were."""
    remedy = "The machine may lack memory: use a smaller checkpoint."
    return len(retry_silent(session, SuggestionJob, "suggest", MOST_ATTEMPTS, remedy))
