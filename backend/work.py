"""Work: rows that a worker claims, keeps alive with a heartbeat, may be asked to stop, and finishes."""

import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from sqlalchemy import ColumnElement, Enum, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column, object_session

from backend import trace
from backend.errors import Conflict
from backend.queue import Bell, ring
from backend.webhooks import outbox


class State(StrEnum):
    """Where a piece of work stands. Only the server moves it."""

    queued = "queued"
    starting = "starting"
    running = "running"
    stopping = "stopping"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"
    lost = "lost"


ACTIVE = (State.starting, State.running, State.stopping)
ENDED = (State.succeeded, State.failed, State.cancelled, State.lost)
SILENCE = timedelta(seconds=60)


class Work:
    """Mixin: the columns of everything that a worker does."""

    state: Mapped[State] = mapped_column(
        Enum(State, native_enum=False, length=16, create_constraint=False), default=State.queued, index=True
    )
    reason: Mapped[str | None]
    remedy: Mapped[str | None]
    stop_requested: Mapped[bool] = mapped_column(default=False)
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    heartbeat_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    host: Mapped[str | None]
    boot_id: Mapped[str | None]
    pid: Mapped[int | None]
    request_id: Mapped[str | None] = mapped_column(String, default=trace.request_id)

    TOLD: ClassVar[Mapping[State, str]] = {}
    """What webhooks are told when it has ended so."""

    def story(self) -> dict[str, Any]:
        """What they are told of it besides its id and state: ids, names and numbers."""
        return {}


class Tried(Work):
    """Mixin: work that another worker goes on with when one dies; `attempts` counts workers that began it."""

    attempts: Mapped[int] = mapped_column(default=0)


W = TypeVar("W", bound=Work)
T = TypeVar("T", bound=Tried)
STOPPED = "Cancelled; its worker had stopped."


class AlreadyEnded(Conflict):
    title = "Already ended"


@lru_cache
def boot_id() -> str:
    """An id that changes when this machine restarts, so that an old pid is not mistaken for a new one."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else "unknown"


def now() -> datetime:
    return datetime.now(UTC)


def claim(session: Session, table: type[W], *where: ColumnElement[bool]) -> W | None:
    """Take the oldest queued row of `table` (and `where`) for this process, now `starting`; None if there is none.

    What this process logs from now on carries the ids of the row and of the request that asked for it.
    """
    row = session.scalars(
        select(table)
        .where(table.state == State.queued, *where)
        .order_by(table.id)  # type: ignore[attr-defined]
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    if row is None:
        return None
    row.state = State.starting
    row.started_at = row.heartbeat_at = now()
    row.host, row.boot_id, row.pid = socket.gethostname(), boot_id(), os.getpid()
    session.flush()
    trace.take_up(table.__name__.lower(), row.id, row.request_id)  # type: ignore[attr-defined]
    return row


def beat(session: Session, table: type[W], row_id: uuid.UUID) -> W:
    """Record that the worker lives; afterwards the row is locked in `session`. Read `stop_requested` from it."""
    row = session.get_one(table, row_id, with_for_update=True)
    row.heartbeat_at = now()
    if row.state == State.starting:
        row.state = State.running
    return row


def ours(row: Work) -> bool:
    """Whether this process is still the one at work: the row was not swept, nor taken by another since."""
    return row.state in ACTIVE and (row.host, row.boot_id, row.pid) == (socket.gethostname(), boot_id(), os.getpid())


def finish(row: Work, state: State, reason: str | None = None, remedy: str | None = None) -> None:
    """Move `row` to an end state, once, and tell webhooks; a row that has ended stays as it is."""
    if row.state in ENDED:
        return
    row.state, row.reason, row.remedy, row.finished_at = state, reason, remedy, now()
    session = object_session(row)
    if session is not None and state in row.TOLD:
        owned: Any = row  # every table of work that is told of has an id and a project
        data = {"id": str(owned.id), "state": state.value, "reason": reason, **row.story()}
        outbox.tell(session, owned.project_id, row.TOLD[state], data)


def request_stop(row: Work) -> None:
    """Ask for the end: a queued row is cancelled at once, an active one is `stopping` until its worker obeys.

    Asking again changes nothing.  Raises AlreadyEnded when the row has ended otherwise.
    """
    if row.state == State.cancelled:
        return
    if row.state in ENDED:
        raise AlreadyEnded(f"This work has already ended ({row.state}).", remedy="There is nothing left to stop.")
    row.stop_requested = True
    if row.state == State.queued:
        finish(row, State.cancelled, "Cancelled before it started.")
    else:
        row.state = State.stopping


def silent(session: Session, table: type[W], *where: ColumnElement[bool]) -> Sequence[W]:
    """Active rows whose heartbeat stopped, or whose process on this machine is gone; locked for the sweep."""
    active = select(table).where(table.state.in_(ACTIVE), *where)
    rows = session.scalars(active.with_for_update(skip_locked=True)).all()
    return [row for row in rows if _is_silent(row)]


def end_silent(session: Session, table: type[W], reason: str, remedy: str, stopped: str = STOPPED) -> Sequence[W]:
    """End what dead workers had in hand: cancelled (`stopped`) where that was asked for, else failed; these rows."""
    rows = silent(session, table)
    for row in rows:
        if row.stop_requested:
            finish(row, State.cancelled, stopped)
        else:
            finish(row, State.failed, reason, remedy)
    return rows


def retry_silent(session: Session, table: type[T], bell: Bell, most: int, remedy: str) -> Sequence[T]:
    """Queue what dead workers had in hand again, and ring; what `most` workers began has failed. These rows."""
    rows = silent(session, table)
    for row in rows:
        if row.stop_requested:
            finish(row, State.cancelled, STOPPED)
        elif row.attempts >= most:
            finish(row, State.failed, f"Its worker died {most} times.", remedy)
        else:
            row.state = State.queued
            ring(session, bell)
    return rows


def _is_silent(row: Work) -> bool:
    if row.heartbeat_at is None or now() - row.heartbeat_at > SILENCE:
        return True
    here = row.host == socket.gethostname()
    if here and row.boot_id != boot_id():
        return True
    return here and row.pid is not None and not Path(f"/proc/{row.pid}").exists()
