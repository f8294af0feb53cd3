"""Suggests labels: claims a job, lets its judge say something of item after item, stores that with how far it is."""

import uuid

import structlog
import torch

from alignment.judges.scored import Scored
from backend.db import transaction
from backend.suggestions import progress
from backend.suggestions.models import SuggestionJob
from backend.suggestions.progress import Taken, TakenAway
from backend.work import State, beat, finish, ours
from workers import shutdown, spending, suggesting
from workers.answering import Refused, Watch, out_of_memory
from workers.spending import LimitReached, Purse

ITEMS_AT_ONCE = 32
CANCELLED = "Cancelled; suggestions up to then are kept."
BROKEN = "It stopped on an unexpected error."
AGAIN = "Let it go on: what is suggested already stays."
log = structlog.get_logger()


def work() -> None:
    """Afterwards no job is queued, unless the worker was told to stop or the machine is busy."""
    while not shutdown.asked():
        with transaction() as session:
            job = progress.take(session)
        if job is None:
            return
        suggest(job)


def suggest(job: Taken) -> None:
    """Afterwards every item that wants labels has a suggestion or a reason why not, or the job has ended otherwise."""
    watch, purse = _watch(job.id), spending.purse_of(job.row)

    def end(state: State, reason: str | None = None, remedy: str | None = None) -> None:
        _end(job.id, watch, purse, state, reason, remedy)

    try:
        with spending.out_of(purse):
            over = _suggest(job, watch)
    except TakenAway:
        log.warning("suggestions were taken away from this worker")
    except LimitReached as error:
        end(State.cancelled, error.reason, error.remedy)
    except Refused as error:
        end(State.failed, error.reason, error.remedy)
    except (MemoryError, torch.OutOfMemoryError):
        full = out_of_memory(", ".join(one.name for one in job.models.values()))
        end(State.failed, full.reason, full.remedy)
    except Exception:
        log.exception("suggesting labels failed")
        end(State.failed, BROKEN, AGAIN)
        raise
    else:
        end(State.cancelled if over else State.succeeded, over and f"{over} {CANCELLED}")


def _watch(job_id: uuid.UUID) -> Watch:
    def go_on() -> bool:
        with transaction() as session:
            row = beat(session, SuggestionJob, job_id)
            return ours(row) and not row.stop_requested

    return Watch(go_on)


def _end(
    job_id: uuid.UUID, watch: Watch, purse: Purse, state: State, reason: str | None = None, remedy: str | None = None
) -> None:
    with transaction() as session:
        row = session.get_one(SuggestionJob, job_id, with_for_update=True)
        if not ours(row):
            return
        spent = purse.closed()
        if spent["requests"]:
            row.spent = spent
        if state is State.failed or remedy is not None:
            finish(row, state, reason, remedy)
        elif row.stop_requested:
            finish(row, State.cancelled, CANCELLED)
        elif watch.stopped:  # the worker was told to stop, which is no failed attempt: another one goes on
            row.state = State.queued
            row.attempts -= 1
        else:
            finish(row, state, reason)


def _suggest(job: Taken, watch: Watch) -> str | None:
    """Why the task takes no more labels, if that ended the work."""
    with transaction() as session:
        progress.begin(session, job.id)
    say: suggesting.Say | None = None
    while not watch():
        with transaction() as session:
            over, some = progress.over(session, job.id), progress.waiting(session, job.id, ITEMS_AT_ONCE)
        if over is not None:
            return over
        if not some:
            _settle(job, watch)
            return None
        say = say or suggesting.ready(job, watch)
        stored = 0
        for found in say(some):
            with transaction() as session:
                progress.store(session, job.id, list(zip(some[stored:], found, strict=False)))
            stored += len(found)
    return None


def _settle(job: Taken, watch: Watch) -> None:
    """Thumbs are suggested once the median of all scores is known."""
    more = isinstance(job.judge, Scored) and job.question.kind == "thumb"
    while more and not watch():
        with transaction() as session:
            more = isinstance(job.judge, Scored) and progress.settle(session, job.id, job.judge)
