"""Runs that go on from their training state after they were stopped: who can, and what is told anew."""

import socket
import uuid

from sqlalchemy import ColumnElement, delete, or_
from sqlalchemy.orm import Session

from backend import queue, storage
from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint
from backend.errors import Conflict
from backend.projects.models import Project
from backend.runs import readings, service
from backend.runs.models import Place, Run, RunEvent
from backend.runs.schemas import ContinueIn
from backend.work import State

STOPPED = (State.failed, State.cancelled, State.lost)


class NotResumable(Conflict):
    title = "Cannot be continued"


def resume(session: Session, project: Project, run_id: uuid.UUID, body: ContinueIn) -> Run:
    """The run, queued to go on after the step of its training state.  Raises NotFound, NotResumable, WeightsGone."""
    run = service.find(session, project, run_id, lock=True)
    why = _why_not(run)
    if why is not None:
        raise NotResumable(why, remedy="Launch it again: the form opens with this run's settings.")
    checkpoints.require_trainable(session.get_one(Checkpoint, run.checkpoint_id), "checkpoint_id")
    if body.tokens_per_pack is not None:
        run.spec = {**run.spec, "batch": {**run.spec.get("batch", {}), "tokens_per_pack": body.tokens_per_pack}}
    session.add(RunEvent(run_id=run.id, kind="continued", step=run.state_step, payload=_before(run)))
    run.state, run.stop_requested = State.queued, False
    run.reason = run.remedy = run.failure = run.heartbeat_at = run.process_group = None
    run.started_at = run.finished_at = None
    run.done = run.state_step or 0
    queue.ring(session, "train")
    return run


def _before(run: Run) -> dict[str, str | None]:
    """How the run ended, and when it had the devices until then: that time stays used."""
    times = {"started_at": run.started_at, "finished_at": run.finished_at}
    return {"ended": run.state, **{name: None if at is None else at.isoformat() for name, at in times.items()}}


def _why_not(run: Run) -> str | None:
    if run.state not in STOPPED:
        return f"This run is {run.state}: only one that was stopped, or failed, goes on."
    if run.place is not Place.worker:
        return "This run is trained elsewhere: start the same command again there, and it goes on."
    if run.state_step is None:
        return "Nothing to go on from was saved before it ended, or a rule has removed it since."
    if run.state_host is None and not storage.get_storage().exists(key(run)):
        return f"The training state of step {run.state_step} is gone from the storage."
    return None


def key(run: Run) -> str:
    """Where the training state of a run lies in the storage."""
    return f"runs/{run.id}/state/{run.state_step}"


def reachable() -> ColumnElement[bool]:
    """Whether this machine can take a queued run: what it goes on from may lie on another one alone."""
    return or_(Run.state_host.is_(None), Run.state_host == socket.gethostname())


def saved(run: Run, step: int, *, everywhere: bool) -> None:
    """A training state was saved; `everywhere`: where every machine finds it."""
    run.state_step = step
    run.state_host = None if everywhere else socket.gethostname()


def rewind(session: Session, run: Run, step: int, at: int, *, evaluates: bool) -> None:
    """Take back what was told of steps after `step`, by an event at the byte `at`: it is told again.

    With `evaluates` the evaluation of the step itself is told again too.
    """
    readings.forget(session, run.id, step)
    first = step if evaluates else step + 1
    session.execute(
        delete(RunEvent).where(
            RunEvent.run_id == run.id, RunEvent.kind.in_(("sample", "alarm")), RunEvent.step >= first
        )
    )
    run.done, run.rewound_at = step, at
