"""Fetches models from a hub: claims a download, watches its process, stores and registers what has arrived."""

import sys
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from sqlalchemy.orm import Session

from backend import storage
from backend import work as queued
from backend.checkpoints import fetches, service
from backend.checkpoints import folder as folders
from backend.checkpoints.folder import Facts
from backend.checkpoints.models import Fetch
from backend.db import transaction
from backend.errors import AppError
from backend.work import State
from workers import shutdown
from workers.errand import BROKEN, Ended, Errand
from workers.heartbeat import beating

log = structlog.get_logger()

OWN_TEMPLATE = "It has a chat template of its own, so the given one was not needed."


class Job(NamedTuple):
    """A download to do; `revision` is the commit once one is known."""

    id: uuid.UUID
    hub_id: str
    revision: str
    token: str | None


def work() -> None:
    """Claim and finish queued downloads until none is left or the worker is told to stop."""
    while not shutdown.asked():
        with transaction() as session:
            row = queued.claim(session, Fetch)
            if row is None:
                return
            row.attempts += 1
            job = _job(session, row)
        if job is not None:
            fetch(job)


def _job(session: Session, row: Fetch) -> Job | None:
    try:
        token = fetches.token(session, row.project_id, row.secret)
    except AppError as error:
        queued.finish(row, State.failed, error.detail, error.remedy)
        return None
    return Job(row.id, row.hub_id, row.commit or row.revision, token)


def fetch(job: Job) -> None:
    """Afterwards the claimed download is a checkpoint, or has ended otherwise, or waits for another worker."""
    errand = Errand(Fetch, job.id, _note)
    key = f"checkpoints/{job.id}"
    said: dict[str, Any] = {}
    try:
        if not storage.exists(key):  # else an attempt before this one came so far and no further
            ended = _download(job, errand)
            if not ended.done:
                _give_up(errand, ended)
                return
            said = ended.said
            _store(errand, key)
        facts = folders.read_own(storage.outline(key))
        errand.conclude(lambda session, row: _register(session, row, said, key, facts))
        fetches.forget_arrived(job.id)
    except folders.Unfit as unfit:
        fetches.forget_arrived(job.id)
        reason = unfit.reason.replace(fetches.arriving(job.id)[0].name, job.hub_id)
        errand.fail(f"{reason} Nothing was kept.", "Choose another model.")
    except AppError as error:  # of the storage
        errand.fail(error.detail, error.remedy)
    except OSError:
        log.exception("download not stored")
        errand.fail("The download could not be stored.", "Look at the disk of the data folder.")


def _download(job: Job, errand: Errand[Fetch]) -> Ended:
    arriving, printed = fetches.arriving(job.id)
    arriving.mkdir(parents=True, exist_ok=True)
    printed.unlink(missing_ok=True)
    command = [sys.executable, "-m", "workers.hub", job.hub_id, job.revision, str(arriving)]
    # In the environment and not among the arguments, which everybody on the machine can read.
    return errand.run(command, printed, {"HF_TOKEN": job.token or ""})


def _note(row: Fetch, said: dict[str, Any]) -> None:
    row.commit = row.commit or said.get("commit")
    row.license = said.get("license", row.license)
    row.total = said.get("bytes", row.total)
    row.done = min(_bytes(fetches.arriving(row.id)[0]), row.total)


def _give_up(errand: Errand[Fetch], ended: Ended) -> None:
    """What has arrived stays where another attempt can use it."""
    if ended.stopped:
        if errand.halt("Cancelled. Nothing was kept.") is State.cancelled:
            fetches.forget_arrived(errand.row_id)
        return
    again = ended.said.get("again", "reason" not in ended.said)
    if not again:
        fetches.forget_arrived(errand.row_id)
    errand.fail(ended.said.get("reason", BROKEN), ended.said.get("remedy", fetches.AGAIN))


def _store(errand: Errand[Fetch], key: str) -> None:
    """Raises Unfit for what cannot be a checkpoint, and what the storage raises."""
    arriving, _ = fetches.arriving(errand.row_id)
    folders.read_outside(arriving)
    with beating(Fetch, errand.row_id):
        storage.put(arriving, key, move=True)


def _register(session: Session, row: Fetch, said: dict[str, Any], key: str, facts: Facts) -> None:
    _note(row, said)
    service.register_fetched(session, row, key, facts)
    row.done = row.total
    if facts.template and row.template:
        row.remedy = OWN_TEMPLATE


def _bytes(folder: Path) -> int:
    total = 0
    for path in folder.glob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # renamed as we looked
            continue
    return total
