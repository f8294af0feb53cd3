"""Errands: work of one row that a child process does, which says how it goes in lines of JSON.

The worker pulses beside it: it stores what the child said, keeps the row alive, and ends the child when the row is to
stop. What a library prints into the same file is no word of the child's.
"""

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from backend import work as queued
from backend.db import transaction
from backend.work import State, Work
from workers import shutdown
from workers.supervisor import Child

log = structlog.get_logger()

PULSE_SECONDS = 1.0
OUTAGE_SECONDS = 600.0  # the sweep gives the row to another worker later
BROKEN = "It stopped on an unexpected error."

W = TypeVar("W", bound=Work)
Words = dict[str, Any]


class Ended(NamedTuple):
    """What a child said, later words over earlier ones, and whether it was made to stop."""

    said: Words
    stopped: bool

    @property
    def done(self) -> bool:
        return bool(self.said.get("done")) and not self.stopped


class Errand(Generic[W]):
    """The errand of one claimed row; `note` writes what the child said into the row."""

    def __init__(self, table: type[W], row_id: uuid.UUID, note: Callable[[W, Words], None]) -> None:
        self.table, self.row_id, self.note = table, row_id, note

    def run(self, command: Sequence[str], printed: Path, environment: Mapping[str, str]) -> Ended:
        """Start the child and pulse until it has ended, by itself or because the row or the worker must stop."""
        stop = False
        with Child(command, printed, environment) as child:
            while child.exit_code() is None:
                stop = self._pulse(spoken(printed)) or stop or shutdown.asked()
                if stop:
                    child.stop(PULSE_SECONDS)
                child.wait(PULSE_SECONDS)
        return Ended(spoken(printed), stop)

    def _pulse(self, said: Words) -> bool:
        """One transaction: how it goes, the heartbeat, and whether to stop."""
        try:
            with transaction() as session:
                row = queued.beat(session, self.table, self.row_id)
                if not queued.ours(row):  # swept while this worker was asleep: ended, or another's by now
                    return True
                self.note(row, said)
                return row.stop_requested
        except (OperationalError, InterfaceError):
            # The database is started again by whoever runs it; the child need not know.
            log.warning("database away; the errand goes on")
            return False

    def conclude(self, then: Callable[[Session, W], None]) -> bool:
        """The row `succeeded`, with what `then` writes into it; False when it is no longer ours."""

        def write(session: Session, row: W) -> None:
            then(session, row)
            queued.finish(row, State.succeeded)

        return self._write(write) is State.succeeded

    def halt(self, cancelled: str) -> State | None:
        """Cancelled when somebody asked for that; else this worker must stop, and the next one begins anew.

        The state afterwards; None when the row is no longer ours.
        """

        def write(_: Session, row: W) -> None:
            if row.stop_requested:
                queued.finish(row, State.cancelled, cancelled)
            else:
                row.state, row.done = State.queued, 0

        return self._write(write)

    def fail(self, reason: str, remedy: str | None) -> None:
        """The row `failed`, for a reason that people can read."""
        self._write(lambda _, row: queued.finish(row, State.failed, reason, remedy))
        log.warning("errand failed", reason=reason)

    def _write(self, change: Callable[[Session, W], None]) -> State | None:
        """The row's state after `change`, while it is ours. A database that is away is waited for: the work is done,
        and only its last word is missing."""
        until = time.monotonic() + OUTAGE_SECONDS
        while True:
            try:
                with transaction() as session:
                    row = session.get_one(self.table, self.row_id, with_for_update=True)
                    if queued.ours(row):
                        change(session, row)
                        return row.state
                    log.warning("errand swept meanwhile")
                    return None
            except (OperationalError, InterfaceError):
                if shutdown.asked() or time.monotonic() > until:
                    raise
                log.warning("database away; the errand waits to tell its end")
                time.sleep(PULSE_SECONDS)


def spoken(printed: Path) -> Words:
    """Everything the child has said, later words over earlier ones."""
    said: Words = {}
    if printed.exists():
        for line in printed.read_text("utf-8", "replace").splitlines():
            if line.startswith("{"):
                said |= _words(line)
    return said


def _words(line: str) -> Words:
    try:
        words = json.loads(line)
    except ValueError:  # a line that is still being written
        return {}
    return words if isinstance(words, dict) else {}
