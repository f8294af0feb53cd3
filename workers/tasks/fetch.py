"""Fetches models from a hub: claims a download, watches its process, registers what has arrived."""

import json
import shutil
import sys
import uuid
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from backend import work as queued
from backend.checkpoints import folder as folders
from backend.checkpoints import service
from backend.checkpoints.models import Fetch
from backend.db import transaction
from backend.settings import get_settings
from backend.work import State
from workers import shutdown
from workers.supervisor import Child

log = structlog.get_logger()

PULSE_SECONDS = 1.0
ENVIRONMENT = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
BROKEN = "The download stopped on an unexpected error."


def work() -> None:
    """Claim and finish queued downloads until none is left or the worker is told to stop."""
    while not shutdown.asked():
        with transaction() as session:
            row = queued.claim(session, Fetch)
            wanted = (row.id, row.hub_id, row.revision) if row else None
        if wanted is None:
            return
        fetch(*wanted)


def fetch(fetch_id: uuid.UUID, hub_id: str, revision: str) -> None:
    """Afterwards the claimed download is a checkpoint, or has ended otherwise and left nothing behind."""
    root = get_settings().checkpoints.absolute()
    arriving, printed = service.arriving(fetch_id)
    try:
        shutil.rmtree(arriving, ignore_errors=True)
        arriving.mkdir(parents=True)
        command = [sys.executable, "-m", "workers.hub", hub_id, revision, str(arriving)]
        with Child(command, printed, ENVIRONMENT) as child:
            stopped = _watch(fetch_id, arriving, printed, child)
        _conclude(fetch_id, arriving, root / str(fetch_id), _said(printed), stopped=stopped)
    except OSError:
        log.exception("download not stored", fetch=str(fetch_id))
        _end(fetch_id, State.failed, "The download could not be stored.", "Look at the disk of the data folder.")
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
        printed.unlink(missing_ok=True)


def _watch(fetch_id: uuid.UUID, arriving: Path, printed: Path, child: Child) -> bool:
    """Pulse until the process has ended; whether it was stopped by us."""
    stop = False
    while child.exit_code() is None:
        try:
            stop = _pulse(fetch_id, arriving, _said(printed)) or stop
        except (OperationalError, InterfaceError):
            # The database is started again by whoever runs it; the download need not know.
            log.warning("database away; the download goes on")
        stop = stop or shutdown.asked()
        if stop:
            child.stop(PULSE_SECONDS)
        child.wait(PULSE_SECONDS)
    return stop


def _pulse(fetch_id: uuid.UUID, arriving: Path, said: dict[str, Any]) -> bool:
    """One transaction: how far it is, the heartbeat, and whether to stop."""
    with transaction() as session:
        row = queued.beat(session, Fetch, fetch_id)
        if not queued.ours(row):  # swept while this worker was asleep: ended, or another's by now
            return True
        row.commit = row.commit or said.get("commit")
        row.total = said.get("bytes", 0)
        row.done = min(_bytes(arriving), row.total)
        return row.stop_requested


def _conclude(fetch_id: uuid.UUID, arriving: Path, place: Path, said: dict[str, Any], *, stopped: bool) -> None:
    if stopped:
        _halt(fetch_id)
        return
    if not said.get("done"):
        _end(fetch_id, State.failed, said.get("reason", BROKEN), said.get("remedy", service.AGAIN))
        return
    try:
        facts = folders.read_outside(arriving)
    except folders.Unfit as unfit:
        _end(fetch_id, State.failed, f"{unfit.reason} Nothing was kept.", "Choose another model.")
        return
    with transaction() as session:
        row = session.get_one(Fetch, fetch_id, with_for_update=True)
        if not queued.ours(row):
            log.warning("download not registered: swept meanwhile", fetch=str(fetch_id))
            return
        row.commit = said.get("commit")
        row.done = row.total = said.get("bytes", 0)
        service.register_fetched(session, row, place, facts)
        queued.finish(row, State.succeeded)
        arriving.rename(place)  # last: a row without its folder would be worse than a folder without its row


def _halt(fetch_id: uuid.UUID) -> None:
    """Cancelled when somebody asked for that; else this worker must stop, and the next one downloads anew."""
    with transaction() as session:
        row = session.get_one(Fetch, fetch_id, with_for_update=True)
        if not queued.ours(row):
            return
        if row.stop_requested:
            queued.finish(row, State.cancelled, "Cancelled. Nothing was kept.")
        else:
            row.state, row.done = State.queued, 0


def _end(fetch_id: uuid.UUID, state: State, reason: str, remedy: str | None = None) -> None:
    with transaction() as session:
        row = session.get_one(Fetch, fetch_id, with_for_update=True)
        if queued.ours(row):
            queued.finish(row, state, reason, remedy)
    log.warning("download ended", fetch=str(fetch_id), state=state, reason=reason)


def _said(printed: Path) -> dict[str, Any]:
    """Everything the process has said, later words over earlier ones; what a library printed is no word of it."""
    said: dict[str, Any] = {}
    if printed.exists():
        for line in printed.read_text("utf-8", "replace").splitlines():
            if line.startswith("{"):
                said |= _words(line)
    return said


def _words(line: str) -> dict[str, Any]:
    try:
        words = json.loads(line)
    except ValueError:  # a line that is still being written
        return {}
    return words if isinstance(words, dict) else {}


def _bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # renamed as we looked
            continue
    return total
