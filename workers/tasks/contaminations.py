"""Looks for evaluations' prompts in what contestants were trained on; every snapshot is read once for all of them."""

import time
import uuid
from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import Any

import structlog

from alignment.contamination import Prompts, Stands
from alignment.formats import snapshot
from alignment.formats.canonical import FileRefused
from backend import storage
from backend import work as queued
from backend.datasets.models import Snapshot
from backend.db import transaction
from backend.errors import AppError
from backend.evaluations import contamination
from backend.evaluations.models import Contamination, Evaluation
from backend.work import State
from workers import shutdown
from workers.ending import Halt, end
from workers.heartbeat import beating

log = structlog.get_logger()

PULSE_SECONDS = 1.0
BROKEN = "It stopped on an unexpected error."
AGAIN = "Ask for it again; the worker's log holds the cause."
CANCELLED = "Cancelled; what was trained on was not searched to its end."


def work() -> None:
    """Claim and finish what is queued until none is left or the worker is told to stop."""
    while not shutdown.asked():
        with transaction() as session:
            row = queued.claim(session, Contamination)
            if row is None:
                return
            row.attempts += 1
            row_id = row.id
        _run(row_id)


def _run(row_id: uuid.UUID) -> None:
    """Afterwards the row has its result, or has ended otherwise."""
    try:
        with beating(Contamination, row_id):
            _look(row_id)
    except Halt:
        end(Contamination, row_id, None, cancelled=CANCELLED)
    except FileRefused as error:
        end(Contamination, row_id, State.failed, f"A snapshot cannot be read: {error}", error.remedy)
    except AppError as error:
        end(Contamination, row_id, State.failed, error.detail, error.remedy)
    except Exception:
        log.exception("search for prompts failed")
        end(Contamination, row_id, State.failed, BROKEN, AGAIN)
        raise


def _look(row_id: uuid.UUID) -> None:
    """Raises Halt, FileRefused, AppError."""
    with transaction() as session:
        row = session.get_one(Contamination, row_id)
        evaluation = session.get_one(Evaluation, row.evaluation_id)
        known = contamination.trained_on(session, [uuid.UUID(one) for one in evaluation.contestants])
        row.done, row.total = 0, contamination.examples(known.values())
        asked = contamination.prompts(session, evaluation.id)
    wanted = Prompts(prompt for _, prompt in asked)
    pulse = Pulse(row_id)
    stands = {one.path: _stands(one, wanted, pulse) for one in _each(known)}
    found = {
        contestant: wanted.seen(reduce(or_, (stands[one.path] for one in own), wanted.nothing()))
        for contestant, own in known.items()
    }
    with transaction() as session:
        row = session.get_one(Contamination, row_id, with_for_update=True)
        if queued.ours(row):
            contamination.store(session, row, [hashed for hashed, _ in asked], wanted.readable, found)
            row.done = row.total
            queued.finish(row, State.succeeded)


def _each(known: dict[uuid.UUID, list[Snapshot]]) -> list[Snapshot]:
    return list({one.path: one for own in known.values() for one in own}.values())


def _stands(one: Snapshot, wanted: Prompts, pulse: "Pulse") -> Stands:
    found = wanted.nothing()
    with storage.using() as use:
        wanted.find(found, pulse.over(snapshot.read_prompts(use(one.path), "train")))
    return found


class Pulse:
    """Tells the row about once a second how many examples were read."""

    def __init__(self, row_id: uuid.UUID) -> None:
        self._row_id, self._done, self._told = row_id, 0, time.monotonic()

    def over(self, examples: Iterator[Any]) -> Iterator[Any]:
        """The examples.  Raises Halt."""
        for example in examples:
            yield example
            self._done += 1
            if time.monotonic() - self._told > PULSE_SECONDS:
                self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        with transaction() as session:
            row = queued.beat(session, Contamination, self._row_id)
            row.done = self._done
            if row.stop_requested or not queued.ours(row) or shutdown.asked():
                raise Halt
