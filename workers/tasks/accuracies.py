"""Measures judges on labelled pairs: claims a row, lets the judge decide every pair both ways, stores what that is."""

import uuid
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import structlog
import torch
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from alignment.judges import Judge
from alignment.judges.panel import Voice, voices
from backend import work as queued
from backend.accuracy import measuring, service
from backend.accuracy.measuring import Pair, Verdict
from backend.accuracy.models import Accuracy, AccuracyVerdict
from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.errors import AppError
from backend.evaluations import judging as judges
from backend.evaluations.progress import Unjudged
from backend.work import State
from workers import judging, shutdown, spending
from workers.answering import Refused, Watch, out_of_memory
from workers.ending import end
from workers.spending import LimitReached, Purse

VERDICTS_AT_ONCE = 200
BROKEN = "It stopped on an unexpected error."
NOTHING = "The dataset has no pair on which its labels prefer a side."
LABEL = "Label some of its pairs first, or choose another split."
log = structlog.get_logger()


class Job(NamedTuple):
    """A judge to measure, the pairs, and the verdicts that an earlier worker has left."""

    id: uuid.UUID
    judge: Judge
    models: dict[str, Checkpoint]
    pairs: list[Pair]
    left_out: dict[str, int]
    seed: int
    watch: Watch
    purse: Purse


def work() -> None:
    """Claim and finish what is queued until none is left or the worker is told to stop."""
    while not shutdown.asked():
        with transaction() as session:
            row = queued.claim(session, Accuracy)
            if row is None:
                return
            row_id = row.id
        _measure(row_id)


def _measure(row_id: uuid.UUID) -> None:
    """Afterwards the row has its result, or has ended otherwise."""
    purse: Purse | None = None

    def over(state: State | None, reason: str | None = None, remedy: str | None = None) -> None:
        end(Accuracy, row_id, state, reason, remedy, keep=lambda row: _pay(row, purse.closed() if purse else {}))

    try:
        job = _job(row_id)
        purse = job.purse
        with spending.out_of(purse):
            for voice in voices(job.judge):
                _decide(job, voice)
        found = None if job.watch.stopped else _found(job)
    except LimitReached as error:
        over(State.cancelled, error.reason, error.remedy)
    except (Refused, AppError) as error:
        reason = error.reason if isinstance(error, Refused) else error.detail
        over(State.failed, reason, error.remedy)
    except (MemoryError, torch.OutOfMemoryError):
        refused = out_of_memory("the judge's models")
        over(State.failed, refused.reason, refused.remedy)
    except Exception:
        log.exception("accuracy failed")
        over(State.failed, BROKEN, service.AGAIN)
    else:
        if found is None:
            over(None)
        else:
            end(Accuracy, row_id, State.succeeded, keep=lambda row: _keep(row, job, found))


def _job(row_id: uuid.UUID) -> Job:
    def go_on() -> bool:
        with transaction() as session:
            row = queued.beat(session, Accuracy, row_id)
            return queued.ours(row) and not row.stop_requested

    with transaction() as session:
        row = session.get_one(Accuracy, row_id)
        judge = judges.resolve(row.judge)
        models = {path: session.get_one(Checkpoint, one.checkpoint) for path, one in judge.asks.items()}
        pairs, left_out = service.read(session, row)
        if not pairs:
            raise Refused(NOTHING, LABEL)
        row.total = service.verdicts(pairs, len(voices(judge)))
        row.done = len(_verdicts(session, row_id, pairs))
        purse = spending.purse_of(row)
        return Job(row_id, judge, models, pairs, left_out, row.pairs["seed"], Watch(go_on), purse)


def _decide(job: Job, voice: Voice) -> None:
    """One voice decides what it has not decided yet."""
    with transaction() as session:
        known = _verdicts(session, job.id, job.pairs)
    asked = (one for pair in job.pairs for one in _both(pair))
    waiting = (one for one in asked if (voice.name, *one.place) not in known)
    decide: judging.Decide | None = None
    while (some := list(islice(waiting, VERDICTS_AT_ONCE))) and not job.watch():
        decide = decide or judging.ready(voice, job.models, job.watch, lambda _: known)
        for rows in decide(some):
            _store(job, voice.name, rows)


def _both(pair: Pair) -> Iterator[Unjudged]:
    """The pair as a match in both side orders, the item's first response as side a."""
    first, second = pair.responses
    for swapped in (False, True):
        yield Unjudged(pair.item_id, swapped, pair.prompt, {"content": first}, {"content": second})


def _store(job: Job, voice: str, rows: Sequence[dict[str, Any]]) -> None:
    told = [
        {"accuracy_id": job.id, "voice": voice, "item_id": one["match_id"]}
        | {name: one[name] for name in ("swapped", "probability", "reason")}
        for one in rows
    ]
    with transaction() as session:
        row = queued.beat(session, Accuracy, job.id)
        if queued.ours(row):
            if told:
                session.execute(insert(AccuracyVerdict), told)
            _pay(row, job.purse.spent())
            row.done += len(told)


def _verdicts(session: Session, row_id: uuid.UUID, pairs: Sequence[Pair]) -> judging.Known:
    """What each voice said of these pairs, by pair and order, in the order of the key."""
    said = AccuracyVerdict
    key = (said.voice, said.item_id, said.swapped)
    own = {pair.item_id for pair in pairs}
    query = select(*key, said.probability, said.reason).where(said.accuracy_id == row_id).order_by(*key)
    rows = session.execute(query)
    return {(row[0], row[1], row[2]): (row[3], row[4]) for row in rows if row[1] in own}


def _pay(row: Accuracy, spent: dict[str, Any]) -> None:
    """What endpoints have cost is noted; a judge that asks none costs nothing."""
    if spent.get("requests"):
        row.spent = spent


def _found(job: Job) -> dict[str, Any]:
    with transaction() as session:
        known = _verdicts(session, job.id, job.pairs)
    told = [
        Verdict(item, swapped, probability, reason)
        for (voice, item, swapped), (probability, reason) in known.items()
        if voice == job.judge.name
    ]
    verdicts = measuring.of_chosen(told, job.pairs)
    return measuring.found(job.pairs, verdicts, job.left_out, job.seed).model_dump(mode="json")


def _keep(row: Accuracy, job: Job, found: dict[str, Any]) -> None:
    row.result = found
    _pay(row, job.purse.closed())
