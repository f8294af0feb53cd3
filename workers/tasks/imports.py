"""Reads uploads into datasets: one transaction an import, so that it is there whole or not at all."""

import errno
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import structlog
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from alignment import formats
from alignment.formats import Columns, FileRefused, Item, RowError, Survey
from alignment.formats.writing import NOUNS
from backend import work as queued
from backend.checkpoints import fetches
from backend.datasets import imports, sources
from backend.datasets.models import Dataset, Import, Kind, Upload
from backend.datasets.models import Item as ItemRow
from backend.datasets.schemas import FromHub
from backend.datasets.writer import BATCH, Writer
from backend.db import look_again, transaction
from backend.errors import AppError
from backend.labels.models import Label
from backend.settings import get_settings
from backend.work import State
from workers import shutdown

log = structlog.get_logger()

PULSE_SECONDS = 1.0
KEPT_ERRORS = 1_000
DOUBLED = "The same prompt and responses stand in the file already; the row was skipped."
CONFLICT = "The same pair stands in the file already with the opposite choice; the row was skipped."


class Stopped(Exception):
    """Somebody asked for the end."""


class WorkerStops(Exception):
    """The worker itself must stop; the import goes back into the queue."""


class BadRowFound(Exception):
    """A bad row was found, and the user chose that none may be."""


class NothingGood(Exception):
    """No row became an item."""


@dataclass
class Tally:
    """What was found so far."""

    good: int = 0
    bad: int = 0
    doubled: int = 0
    bytes_read: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)
    first_line: dict[str, int] = field(default_factory=dict)

    def add_error(self, error: RowError) -> None:
        self.bad += 1
        if len(self.errors) < KEPT_ERRORS:
            self.errors.append(
                {"line": error.line, "field": error.field, "reason": error.reason, "excerpt": error.excerpt}
            )

    def warn(self, sentence: str, line: int) -> None:
        self.warnings[sentence] += 1
        self.first_line.setdefault(sentence, line)

    def write(self, row: Import) -> None:
        """Put the numbers on the row."""
        row.rows_good, row.rows_bad, row.rows_doubled = self.good, self.bad, self.doubled
        row.bytes_read, row.errors = self.bytes_read, list(self.errors)
        row.warnings = [
            {"reason": sentence, "count": count, "line": self.first_line[sentence]}
            for sentence, count in self.warnings.most_common()
        ]


def work() -> None:
    """Claim and finish queued imports until none is left, or the worker is told to stop."""
    while not shutdown.asked():
        with transaction() as session:
            row = queued.claim(session, Import)
            import_id = row.id if row else None
        if import_id is None:
            return
        run(import_id)


def run(import_id: uuid.UUID) -> None:
    """Afterwards the claimed import has succeeded with its dataset, or ended otherwise and left nothing behind."""
    tally = Tally()
    try:
        with transaction() as session:
            upload_id = _read_into_dataset(session, import_id, tally)
        with transaction() as session:
            sources.discard(session, upload_id)
    except Stopped:
        _end(import_id, tally, State.cancelled, "Cancelled. Nothing was kept.")
    except WorkerStops:
        _put_back(import_id)
    except BadRowFound:
        first = tally.errors[0]
        reason = f"Line {first['line']}, {first['field']}: {first['reason']} Nothing was kept, as you chose."
        _end(import_id, tally, State.failed, reason, "Correct the row, or allow bad rows to be left out.")
    except NothingGood:
        _end(import_id, tally, State.failed, "No row could be imported.", "See the errors of the rows below.")
    except FileRefused as refused:
        _end(import_id, tally, State.failed, *imports.refused(refused))
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        if not full:
            log.warning("file not read", id=str(import_id), cause=repr(error))
        reason = "The disk is full. Nothing was kept." if full else "A file could not be read. Nothing was kept."
        _end(import_id, tally, State.failed, reason, "Free some space; import again." if full else imports.AGAIN)
    except AppError as error:
        _end(import_id, tally, State.failed, error.detail, error.remedy)
    except IntegrityError:
        reason = "A dataset of this name was made in the meantime. Nothing was kept."
        _end(import_id, tally, State.failed, reason, "Import again under another name.")
    except (psycopg.errors.DiskFull, DBAPIError) as error:
        if not isinstance(error, psycopg.errors.DiskFull) and not isinstance(error.orig, psycopg.errors.DiskFull):
            _end(import_id, tally, State.failed, "The database failed. Nothing was kept.", imports.AGAIN)
            raise
        _end(import_id, tally, State.failed, "The disk is full. Nothing was kept.", "Free some space; import again.")
    except BaseException:
        _end(import_id, tally, State.failed, "An unexpected error; the log has it. Nothing was kept.", imports.AGAIN)
        raise


def _read_into_dataset(session: Session, import_id: uuid.UUID, tally: Tally) -> uuid.UUID:
    row = session.get_one(Import, import_id)
    upload = session.get_one(Upload, row.upload_id)
    # The wanted name is taken at the very end: until then nobody who asks for it need wait for this transaction.
    dataset = Dataset(
        project_id=row.project_id, name=f"import {import_id}", kind=Kind.paired, created_by=row.created_by
    )
    session.add(dataset)
    session.flush()
    reader = _Reader(session, row, dataset, tally)
    with sources.opened(upload, _token(upload), get_settings(), reader.fetched) as paths:
        reader.read(paths)
    look_again(session, tally.good, ItemRow, Label)
    dataset.name = row.name
    session.flush()
    session.refresh(row, with_for_update=True)
    if row.stop_requested or not queued.ours(row):
        raise Stopped
    tally.bytes_read = row.bytes_total
    tally.write(row)
    row.dataset_id = dataset.id
    queued.finish(row, State.succeeded)
    log.info("imported", dataset=str(dataset.id), good=tally.good, bad=tally.bad, doubled=tally.doubled)
    return upload.id


def _token(upload: Upload) -> str | None:
    """The hub's token, where one is needed; asked for in a transaction of its own, since this one may last long."""
    origin = sources.origin_of(upload)
    if not isinstance(origin, FromHub):
        return None
    with transaction() as session:
        return fetches.token(session, upload.project_id, origin.secret)


class _Reader:
    """Reads files into one dataset, with a pulse every second."""

    def __init__(self, session: Session, row: Import, dataset: Dataset, tally: Tally) -> None:
        self.format, self.strict, self.import_id = row.format, row.abort_on_bad_row, row.id
        self.columns = None if row.columns is None else Columns.model_validate(row.columns)
        self.survey = None if row.survey is None else Survey.model_validate(row.survey)
        self.bytes_before, self.bytes_total = 0, row.bytes_total
        self.dataset = dataset
        self.tally = tally
        self.writer = Writer(session, dataset, again=True)
        self.batch: list[Item] = []
        self.writing: Future[None] | None = None
        self.kind: Kind | None = None
        self.next_pulse = 0.0

    def read(self, paths: Sequence[Path]) -> None:
        """Read the files one after the other; a batch is written while the next one is read."""
        with ThreadPoolExecutor(1, "writing") as self.beside:
            for path in paths:
                self._read(path, f"{path.name}: " if len(paths) > 1 else "")
                self.bytes_before += path.stat().st_size
            self._hand_over()
            self._written()
        if not self.tally.good:
            raise NothingGood
        self.dataset.kind = self.kind or Kind.paired

    def _read(self, path: Path, named: str) -> None:
        how: dict[str, Any] = {"columns": self.columns, "survey": self.survey, "progress": self._progress}
        for found in formats.read(path, self.format, max_row_bytes=get_settings().max_line_bytes, **how):
            error = found if isinstance(found, RowError) else self._other_kind(found)
            if error is not None:
                self.tally.add_error(replace(error, reason=named + error.reason) if named else error)
                if self.strict:
                    raise BadRowFound
            elif isinstance(found, Item):
                self.batch.append(found)
                if len(self.batch) == BATCH:
                    self._hand_over()

    def _other_kind(self, item: Item) -> RowError | None:
        """The first good row says what the dataset holds; a row of another kind is a bad row."""
        kind = item.kind
        if self.kind is None:
            self.kind = Kind(kind)
        if kind == self.kind.value:
            return None
        return RowError(item.line, "responses", f"The rows before hold {NOUNS[self.kind.value]}; this one does not.")

    def _hand_over(self) -> None:
        """Have the batch written, once the one before is."""
        self._written()
        batch, self.batch = self.batch, []
        self.writing = self.beside.submit(self._write, batch)

    def _written(self) -> None:
        if self.writing is not None:
            self.writing.result()

    def _write(self, batch: Sequence[Item]) -> None:
        added = self.writer.add(batch)
        self.tally.good += len(added.ids)
        self.tally.doubled += len(added.doubled) + len(added.conflicting)
        for sentence, items in ((DOUBLED, added.doubled), (CONFLICT, added.conflicting)):
            for item in items:
                self.tally.warn(sentence, item.line)
        for item in batch:
            for sentence in item.warnings:
                self.tally.warn(sentence, item.line)

    def fetched(self, bytes_here: int) -> None:
        """Rows of a hub, or of a packed file, arrive before they are read."""
        self._progress(min(bytes_here, self.bytes_total))

    def _progress(self, bytes_read: int) -> None:
        self.tally.bytes_read = self.bytes_before + bytes_read
        if (now := time.monotonic()) >= self.next_pulse:
            self.next_pulse = now + PULSE_SECONDS
            _pulse(self.import_id, self.tally)


def _pulse(import_id: uuid.UUID, tally: Tally) -> None:
    """Tell the row how far the import is, in a transaction of its own; hear whether it should stop."""
    if shutdown.asked():
        raise WorkerStops
    with transaction() as session:
        row = queued.beat(session, Import, import_id)
        if queued.ours(row):
            row.rows_good, row.rows_bad, row.rows_doubled = tally.good, tally.bad, tally.doubled
            row.bytes_read = tally.bytes_read
        stop = row.stop_requested or not queued.ours(row)  # swept while this worker was asleep, or another's by now
    if stop:
        raise Stopped


def _end(import_id: uuid.UUID, tally: Tally, state: State, reason: str, remedy: str | None = None) -> None:
    """The end of an import that kept nothing."""
    with transaction() as session:
        row = session.get_one(Import, import_id, with_for_update=True)
        if not queued.ours(row):
            return
        tally.good = 0
        tally.write(row)
        queued.finish(row, state, reason, remedy)
    log.warning("import ended", id=str(import_id), state=state, reason=reason)


def _put_back(import_id: uuid.UUID) -> None:
    with transaction() as session:
        row = session.get_one(Import, import_id, with_for_update=True)
        if not queued.ours(row):
            return
        row.state, row.heartbeat_at, row.pid = State.queued, None, None
        row.rows_good = row.rows_bad = row.rows_doubled = row.bytes_read = 0
