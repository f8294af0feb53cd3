"""Sweeps: work whose worker died is ended with the reason, or queued again; what it left running is ended too."""

import socket
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import Select, select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from backend import work as queued
from backend.accuracy import service as accuracies
from backend.checkpoints import fetches
from backend.datasets import imports
from backend.db import transaction
from backend.evaluations import contamination, token_scores
from backend.evaluations import service as evaluations
from backend.exports import pushes
from backend.exports import service as exports
from backend.labels import tallies
from backend.projects import removal
from backend.quality import reliabilities
from backend.runs import ending
from backend.runs.models import Place, Run
from backend.runs.sink import EVENTS, drain
from backend.settings import get_settings
from backend.suggestions import jobs
from backend.usage import storage as kept
from backend.webhooks import delivery
from backend.work import State
from workers.publisher import Publisher
from workers.supervisor import end_orphans, remove_unfinished

log = structlog.get_logger()

SECOND_LOOK_SECONDS = 3.0
PULSE_SECONDS = 0.2
REMEMBERED = timedelta(days=7)


def work() -> None:
    """Afterwards nothing is active whose worker is gone, save what is still being ended.

    Each sweep and each run fails alone. Raises what went wrong once everything else is done.
    """
    sweeps = (
        imports.sweep,
        fetches.sweep,
        evaluations.sweep,
        token_scores.sweep,
        contamination.sweep,
        exports.sweep,
        pushes.sweep,
        reliabilities.sweep,
        jobs.sweep,
        accuracies.sweep,
        removal.sweep,
        tallies.settle,
        delivery.sweep,
        kept.measure,
    )
    failed = [_alone(partial(_rows, sweep)) for sweep in sweeps]
    for run_id in _silent_runs():
        error = _alone(partial(_run, run_id, sweep_run))
        failed.append(error)
        if error is not None and not isinstance(error, OperationalError | InterfaceError):
            failed.append(_alone(partial(_run, run_id, _give_up)))
    errors = [error for error in failed if error is not None]
    if errors:
        raise ExceptionGroup("not everything could be swept", errors)


def _alone(sweep: Callable[[], None]) -> Exception | None:
    """What stopped `sweep`, in the log with its trace; None when nothing did."""
    try:
        sweep()
    except Exception as error:
        log.exception("sweep failed")
        return error
    return None


def _rows(sweep: Callable[[Session], object]) -> None:
    with transaction() as session:
        sweep(session)


def _run(run_id: uuid.UUID, end: Callable[[Session, Run], None]) -> None:
    """One run, locked, if it is still abandoned."""
    with transaction() as session:
        for run in queued.silent(session, Run, Run.id == run_id):
            end(session, run)


def _give_up(session: Session, run: Run) -> None:
    """End a run whose events cannot be stored: it would look alive for ever."""
    ending.conclude(session, run, None, otherwise=ending.Cause(*ending.UNEXPECTED))


def _silent_runs() -> list[uuid.UUID]:
    """Runs that look abandoned twice: a machine that has just woken up gets the time to say that it lives."""
    with transaction() as session:
        found = [run.id for run in queued.silent(session, Run)]
    if found:
        time.sleep(SECOND_LOOK_SECONDS)
    return found


def sweep_run(session: Session, run: Run) -> None:
    """End `run`, abandoned and locked; while its training process still saves, only ask that one to end."""
    if run.place is Place.elsewhere:
        ending.conclude(session, run, None, otherwise=ending.silent(run))
        log.warning("run not heard of", run_id=str(run.id), state=run.state)
        return
    folder = get_settings().runs.absolute() / str(run.id)
    elsewhere = run.host != socket.gethostname()
    if not elsewhere and end_orphans(str(folder), kill=_overdue(run)):
        run.state = State.stopping
        return
    if not elsewhere:
        remove_unfinished(folder)
    with Publisher(folder) as products:
        products.scan(run.id)
        while drain(session, run, folder, None, products) or products.look():
            time.sleep(PULSE_SECONDS)
    if products.trouble is not None:
        ending.fail(run, products.trouble)
    ending.conclude(session, run, None, otherwise=ending.silent(run) if elsewhere else ending.worker_gone(run))
    log.warning("abandoned run ended", run_id=str(run.id), state=run.state, reason=run.reason)


def own() -> None:
    """Sweep the runs of this machine: those of a worker that died here, and those that were given up elsewhere because
    this machine was silent, where it has kept more than was told."""
    with transaction() as session:
        for run in session.scalars(_given_up().with_for_update(skip_locked=True)):
            events = get_settings().runs.absolute() / str(run.id) / EVENTS
            if events.exists() and events.stat().st_size > run.events_offset:
                run.state, run.finished_at, run.failure, run.reason, run.remedy = State.running, None, None, None, None
                log.info("run found again", run_id=str(run.id))
    with transaction() as session:
        silent = queued.silent(session, Run, Run.host == socket.gethostname())
        found = [run.id for run in silent if _worker_died(run)]
    for run_id in found:
        _run(run_id, sweep_run)


def _worker_died(run: Run) -> bool:
    """Whether the worker of a run of this machine is surely gone; one that lives speaks for itself."""
    return run.boot_id != queued.boot_id() or run.pid is None or not Path(f"/proc/{run.pid}").exists()


def _given_up() -> Select[Run]:
    recently = queued.now() - REMEMBERED
    return select(Run).where(
        Run.state == State.lost, Run.failure == "silent", Run.host == socket.gethostname(), Run.finished_at > recently
    )


def _overdue(run: Run) -> bool:
    """Whether an orphan has had its time for saving."""
    silence = get_settings().stop_grace_seconds
    return run.heartbeat_at is None or (queued.now() - run.heartbeat_at).total_seconds() > silence
