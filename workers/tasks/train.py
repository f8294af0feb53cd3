"""Trains: claims a queued run, starts `python -m alignment.training` for it, and tells the rows what happens there."""

import errno
import os
import shutil
import sys
import time
import uuid
from pathlib import Path

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from alignment.training import kept, whole
from backend import storage, trace
from backend import work as queued
from backend.db import transaction
from backend.errors import AppError
from backend.runs import ending, resuming, service
from backend.runs.devices import fitting, here
from backend.runs.ending import Cause
from backend.runs.models import Place, Run, RunEvent
from backend.runs.sink import Pace, drain
from backend.settings import get_settings
from backend.work import State
from workers import shutdown
from workers.heartbeat import beating
from workers.publisher import UNSENT, Publisher
from workers.supervisor import MODULE, Child, remove_unfinished

log = structlog.get_logger()

PULSE_SECONDS = 1.0
WAITING_SECONDS = 0.2  # while events wait for a checkpoint that is on its way
PATIENCE_SECONDS = 300.0  # how long a database that is away is waited for once training has ended
SHUTDOWN_GRACE_SECONDS = 25.0
OUTPUT = "output.log"
TAIL_BYTES = 8000
NAMES_ITS_CAUSE = ("out_of_memory", "bad_spec", "bad_data", "too_few_examples", "disk_full", "non_finite_loss")
ENVIRONMENT = {
    # Weights and data are on this machine; training asks nobody for anything.
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
}


class NoDatabase(Exception):
    """The database was away for longer than patience lasts; the sweep finishes the run later."""


def work() -> None:
    """Claim and train queued runs, one after another, until none is left or the worker is told to stop."""
    while not shutdown.asked():
        with transaction() as session:
            able = (fitting(here()), resuming.reachable())
            run = queued.claim(session, Run, Run.place == Place.worker, *able)
            run_id = run.id if run else None
        if run_id is None:
            return
        train(run_id)


def train(run_id: uuid.UUID) -> None:
    """Afterwards the claimed run has ended, and no process of it is left."""
    folder = run_folder(run_id)
    try:
        with storage.using() as use, Publisher(folder) as products:
            problem = _prepare(run_id, folder, use, products)
            if problem is not None:
                _end_unwatched(run_id, problem)
                return
            log.info("run starts")
            command = [sys.executable, "-m", MODULE, str(folder)]
            references = {kept.PLACE: str(get_settings().references.absolute())}
            with Child(command, folder / OUTPUT, ENVIRONMENT | references | trace.environment()) as child:
                code, cause = _watch(run_id, folder, child, products)
            remove_unfinished(folder)
            _conclude(run_id, folder, code, cause, products)
        _clear(folder, products)
    except NoDatabase:
        raise
    except Exception:
        log.exception("run not followed to its end")
        _end_unwatched(run_id, Cause(*ending.UNEXPECTED))
        raise


def run_folder(run_id: uuid.UUID) -> Path:
    """Where a run reads its spec and writes its events and checkpoints."""
    return get_settings().runs.absolute() / str(run_id)


def _prepare(run_id: uuid.UUID, folder: Path, use: storage.Use, products: Publisher) -> Cause | None:
    """Bring data and weights to this machine and write spec.json into a new folder, or into that of a run that goes on;
    the cause when that cannot be."""
    with transaction() as session:
        run = session.get_one(Run, run_id)
        materials, step = service.materials(session, run), run.state_step
        products.begin_at(run.events_offset)
    if step is not None and not (folder / "state" / str(step)).is_dir():
        return Cause(
            "state",
            f"What it takes to go on from step {step} is not on this machine any more.",
            "Launch the run again, or start one from its last checkpoint.",
        )
    try:
        with beating(Run, run_id):
            spec = materials.fetched(use).model_dump_json(indent=2)
        if step is None and folder.exists():  # an earlier claim died before it started a process
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        whole.replace(folder / "spec.json", spec.encode())
    except AppError as error:
        log.warning("run not prepared", cause=error.detail)
        return Cause("storage", error.detail, error.remedy or "Look at the storage, then launch the run again.")
    except OSError as error:
        log.exception("run folder not written")
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Cause(*ending.BY_EXIT_CODE[74])
        return Cause(
            "folder", "The run's folder could not be written.", "Look at the rights and the disk of the data folder."
        )
    return None


def _end_unwatched(run_id: uuid.UUID, cause: Cause) -> None:
    """End a run whose process was not started, or could not be followed and is gone."""
    with transaction() as session:
        run = session.get_one(Run, run_id, with_for_update=True)
        ending.conclude(session, run, None, otherwise=cause)


def _watch(run_id: uuid.UUID, folder: Path, child: Child, products: Publisher) -> tuple[int | None, Cause | None]:
    """Pulse until the process has ended; its exit code, and why it was made to stop if nobody cancelled the run."""
    pace, cause = Pace(), None
    stop = False
    while True:
        products.scan(run_id)
        try:
            again, wanted = _pulse(run_id, folder, child.group, pace, products)
            stop = stop or wanted
        except (OperationalError, InterfaceError):
            # The database is started again by whoever runs it; training need not know.
            log.warning("database away; training goes on")
            again = False
        code = child.exit_code()
        if code is not None:
            return code, cause
        if shutdown.asked() and not stop:
            stop, cause = True, Cause("stopped", "", "")
        if products.trouble is not None:
            stop, cause = True, products.trouble
        if stop:
            # A worker that is itself told to stop is waited for only so long.
            child.stop(SHUTDOWN_GRACE_SECONDS if shutdown.asked() else get_settings().stop_grace_seconds)
        if not again:
            child.wait(WAITING_SECONDS if products.look() else PULSE_SECONDS)


def _pulse(run_id: uuid.UUID, folder: Path, group: int, pace: Pace, products: Publisher) -> tuple[bool, bool]:
    """One transaction: rows, heartbeat, and "stop asked?". Returns whether there is more to read, and to stop."""
    with transaction() as session:
        run = queued.beat(session, Run, run_id)
        run.process_group = group
        if not queued.ours(run):  # swept while this worker was asleep: somebody has been told that it ended
            return False, True
        again = drain(session, run, folder, pace, products)
        return again, run.stop_requested


def _conclude(run_id: uuid.UUID, folder: Path, code: int | None, cause: Cause | None, products: Publisher) -> None:
    """Store the rest of the events and end the run; waits for checkpoints on their way, and a database that is away."""
    limit = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            products.scan(run_id)
            while _drain_once(run_id, folder, products):
                pass
            with transaction() as session:
                run = session.get_one(Run, run_id, with_for_update=True)
                if not queued.ours(run):  # it was swept, and may be going on elsewhere
                    return
                if products.trouble is not None:
                    ending.fail(run, products.trouble)
                ending.conclude(session, run, code, otherwise=ending.stopped(run) if cause else None)
                if run.state == State.failed and run.failure not in NAMES_ITS_CAUSE:
                    _show_output(session, run, folder)
                log.info("run ended", state=run.state, reason=run.reason)
        except (OperationalError, InterfaceError) as error:
            if time.monotonic() > limit or shutdown.asked():
                raise NoDatabase from error
            time.sleep(PULSE_SECONDS)
        else:
            return


def _drain_once(run_id: uuid.UUID, folder: Path, products: Publisher) -> bool:
    """Store what there is; whether there may be more."""
    with transaction() as session:
        run = queued.beat(session, Run, run_id)
        again = queued.ours(run) and drain(session, run, folder, None, products)
    if products.look():
        time.sleep(WAITING_SECONDS)
        return True
    return again


def _clear(folder: Path, products: Publisher) -> None:
    """Remove this machine's own checkpoints of a run where all that it keeps lie in the storage."""
    if products.sent and products.trouble is None:
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        shutil.rmtree(folder / UNSENT, ignore_errors=True)


def _show_output(session: Session, run: Run, folder: Path) -> None:
    """Put the end of what the process printed into the run's log: the only trace of a cause that it did not name."""
    try:
        with (folder / OUTPUT).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace").replace("\x00", "\ufffd").strip()
    except OSError:
        return
    if text:
        session.add(RunEvent(run_id=run.id, kind="log", step=None, payload={"level": "error", "message": text}))
