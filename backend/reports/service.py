"""What a reporter is told, and what becomes of what it tells."""

import json
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from backend import remote, storage, work
from backend.accounts.models import User
from backend.checkpoints import folder as folders
from backend.checkpoints import places
from backend.checkpoints.models import Checkpoint
from backend.datasets.models import Snapshot
from backend.errors import Conflict, Invalid, NotFound, TooLarge
from backend.reports import arrivals, tokens
from backend.reports.schemas import (
    EVENT,
    Heard,
    ReporterOut,
    ReportFileOut,
    ReportSnapshotOut,
    StartIn,
    StartOut,
    WeightsOut,
)
from backend.runs import ending, thirds
from backend.runs.models import Place, ReportToken, Run
from backend.runs.sink import BYTES_AT_ONCE, LONGEST_LINE, Line, Pace, store
from backend.settings import Settings
from backend.work import SILENCE, State, now

EXAMPLES = ("examples.parquet", "manifest.json")
DEEPEST = 8


class NotElsewhere(Conflict):
    title = "Trained here"


class AnotherReporter(Conflict):
    title = "Another program reports"


class BadBatch(Invalid):
    title = "Events not readable"


def allow(session: Session, run: Run, user: User, hours: int) -> tuple[ReportToken, str]:
    """A token for a program elsewhere; a run that waits for a worker of ours no longer does.

    Raises NotElsewhere for a run that a worker trains, AlreadyEnded.
    """
    if run.state in work.ENDED and not tokens.missed(run):
        raise work.AlreadyEnded(f"The run has already ended ({run.state}).", remedy="Launch a new run.")
    if run.place is Place.worker:
        if run.state is not State.queued:
            raise NotElsewhere("A worker of this server trains this run.", remedy="Launch another run for elsewhere.")
        run.place = Place.elsewhere
    return tokens.issue(session, run, user, hours)


def connection(session: Session, run: Run, url: str) -> ReporterOut:
    """Whether the program elsewhere is heard of."""
    token, reporter = tokens.good(session, run), run.reporter or {}
    heard = run.heartbeat_at
    return ReporterOut(
        url=url,
        heard_at=heard,
        connected=run.state in work.ACTIVE and heard is not None and now() - heard < SILENCE,
        host=reporter.get("host"),
        device=reporter.get("device"),
        token=token.prefix if token else None,
        expires_at=token.expires_at if token else None,
    )


def start(session: Session, run: Run, body: StartIn, settings: Settings) -> StartOut:
    """What the program needs; from now on the run (locked) is its own.  Raises AnotherReporter."""
    known = (run.reporter or {}).get("id")
    fresh = run.events_offset == 0 and (run.heartbeat_at is None or now() - run.heartbeat_at > SILENCE)
    if known not in (None, str(body.reporter)) and not fresh:
        raise AnotherReporter(
            f"Another program, on “{(run.reporter or {}).get('host')}”, has begun this run.",
            remedy="Let it go on (with its own folder), or launch a new run.",
        )
    run.reporter = {"id": str(body.reporter), "host": body.host, "device": body.device, "version": body.version}
    hear(run)
    snapshot = session.get_one(Snapshot, run.snapshot_id)
    return StartOut(
        run_id=run.id,
        name=run.name,
        recipe=run.spec,
        snapshot=ReportSnapshotOut(hash=snapshot.hash, files=_described(storage.local(snapshot.path))),
        checkpoint=_weights(session, run.checkpoint_id),
        reference=_weights(session, run.reference_id) if run.reference_id else None,
        third={name: _weights(session, found.id) for name, found in thirds.of(session, run.id).items()},
        offset=run.events_offset,
        stop=run.stop_requested,
        chunk_bytes=settings.max_body_bytes,
    )


def hear(run: Run) -> None:
    """The program elsewhere lives: a run that was given up for its silence goes on."""
    run.heartbeat_at = now()
    if tokens.missed(run):
        run.finished_at = run.reason = run.remedy = run.failure = None
        run.state = State.stopping if run.stop_requested else State.running
    elif run.state is State.queued:
        run.started_at, run.state = now(), State.starting
    elif run.state is State.starting and run.events_offset:
        run.state = State.running


def require_reporter(run: Run, reporter: str | None) -> None:
    """Raise AnotherReporter unless the caller is the program that has begun the run."""
    if run.reporter is None or run.reporter.get("id") != reporter:
        raise AnotherReporter("This program has not begun this run.", remedy="Begin with the run's start.")


def take(session: Session, run: Run, offset: int, body: bytes, zipped: bool, settings: Settings) -> Heard:
    """Store the events of `body`, which begins at a byte offset of the program's file; what was stored before is passed
    over, and after a gap nothing is stored. The answer says where to go on.

    Raises BadBatch, TooLarge.
    """
    raw = _unzipped(body) if zipped else body
    if run.events_offset + len(raw) > settings.max_report_bytes:
        raise TooLarge(
            "The events of this run are more than the server keeps.", remedy="Raise PLUMBLINE_MAX_REPORT_BYTES there."
        )
    if offset <= run.events_offset:
        store(session, run, _lines(raw[run.events_offset - offset :], run.events_offset), Sent(session), Pace())
    hear(run)
    return Heard(offset=run.events_offset, state=run.state, stop=run.stop_requested)


def end(session: Session, run: Run, exit_code: int | None) -> None:
    """The training process has ended, and all its events are stored."""
    gone = ending.Cause(*ending.GONE_ELSEWHERE) if exit_code is None else None
    ending.conclude(session, run, exit_code, otherwise=gone)
    arrivals.forget(run.id)


def parent(session: Session, run: Run) -> tuple[Checkpoint, Path]:
    """What the run starts from, and a folder with its headers."""
    base = session.get_one(Checkpoint, run.checkpoint_id)
    return base, places.outline(session, base)


def data_file(session: Session, run: Run, name: str) -> Path:
    """A file of the run's snapshot.  Raises NotFound."""
    if name not in EXAMPLES:
        raise NotFound.of("file")
    return storage.local(session.get_one(Snapshot, run.snapshot_id).path) / name


def weights_file(session: Session, run: Run, role: str, link: int, name: str) -> Path:
    """A file of the checkpoints that the run needs; `role` is `checkpoint`, `reference` or the name of another one.

    Raises NotFound.
    """
    ids = {"checkpoint": run.checkpoint_id, "reference": run.reference_id}
    ids |= {name: found.id for name, found in thirds.of(session, run.id).items()}
    wanted = ids.get(role)
    links = places.chain(session, session.get_one(Checkpoint, wanted)) if wanted else []
    if not 0 <= link < len(links):
        raise NotFound.of("file")
    path = next((path for path in _files(storage.outline(links[link].path)) if path.name == name), None)
    if path is None:
        raise NotFound.of("file")
    return storage.local(links[link].path) / name


class Sent:
    """Checkpoints that a reporter has sent before it told of them."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def ready(self, run: Run, event: dict[str, Any]) -> bool:  # noqa: ARG002
        return True

    def key(self, run: Run, path: object) -> str | None:
        step = PurePosixPath(str(path)).name
        return arrivals.key_of(run.id, int(step)) if step.isascii() and step.isdigit() and len(step) <= 10 else None

    def everywhere(self, run: Run) -> bool:  # noqa: ARG002
        return False

    def gone(self, run: Run, key: str) -> bool:  # noqa: ARG002
        return True

    def facts(self, run: Run, key: str) -> folders.Facts:
        if not storage.exists(key):
            raise folders.Unfit("Its files were not sent.", "Look at the log of the machine that trained.")
        return folders.read_reported(places.based(storage.outline(key), parent(self.session, run)[1]))


def _lines(raw: bytes, start: int) -> Iterator[Line]:
    """The whole lines of a batch, each checked: what is no event is a line without one."""
    for line in raw.splitlines(keepends=True) if b"\r" not in raw else _by_newline(raw):
        if not line.endswith(b"\n"):
            return
        yield Line(start, start + len(line), _event(line) if len(line) <= LONGEST_LINE else None)
        start += len(line)


def _by_newline(raw: bytes) -> list[bytes]:
    parts = raw.split(b"\n")
    return [part + b"\n" for part in parts[:-1]]


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line, parse_constant=lambda _: None)
        EVENT.validate_python(event)
    except (ValueError, RecursionError, ValidationError):
        return None
    return event if isinstance(event, dict) and _depth(event) <= DEEPEST else None


def _depth(value: Any) -> int:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, parts), default=0)


def _unzipped(body: bytes) -> bytes:
    """The content of a gzip body, if it is no bomb.  Raises BadBatch, TooLarge."""
    stream = zlib.decompressobj(31)
    try:
        raw = stream.decompress(body, BYTES_AT_ONCE)
    except zlib.error:
        raise BadBatch("The body is not gzip.", remedy="Send it anew.") from None
    if stream.unconsumed_tail or not stream.eof:
        raise TooLarge("The body unpacks to more than is taken at once, or is cut off.", remedy="Send fewer events.")
    return raw


def _described(folder: Path) -> list[ReportFileOut]:
    found = {file.name: file for file in remote.describe(folder).files if file.name in EXAMPLES}
    return [ReportFileOut(**found[name].model_dump()) for name in EXAMPLES]


def _weights(session: Session, checkpoint_id: Any) -> WeightsOut:
    checkpoint = session.get_one(Checkpoint, checkpoint_id)
    links = [
        [ReportFileOut(name=path.name, size=path.stat().st_size) for path in _files(storage.outline(link.path))]
        for link in places.chain(session, checkpoint)
    ]
    return WeightsOut(name=checkpoint.name, hub_id=checkpoint.hub_id, revision=checkpoint.revision, links=links)


def _files(folder: Path) -> list[Path]:
    """What a checkpoint folder holds that training reads: no links, no pickles."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    return sorted(path for path in found if path.name.endswith(arrivals.SUFFIXES))
