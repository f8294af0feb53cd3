"""From `events.jsonl` to rows: every line is stored once, in the transaction that also moves the offset."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import structlog
from sqlalchemy.orm import Session

from backend import storage
from backend.checkpoints import folder as folders
from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint
from backend.runs import resuming
from backend.runs.models import Place, Run, RunEvent
from backend.runs.readings import Reading, record

log = structlog.get_logger()

LONGEST_LINE = 4 << 20
LINES_AT_ONCE = 2000
BYTES_AT_ONCE = 16 << 20
LONGEST_TEXT = 20_000
LONGEST_NAME = 120
MOST_DEVICES = 4096
LAST_STEP = 2**31 - 1
EVENTS = "events.jsonl"


class Line(NamedTuple):
    """A line of the file: where it begins and ends, and its event; None when it cannot be read."""

    start: int
    end: int
    event: dict[str, Any] | None


@dataclass
class Pace:
    """How long a step takes lately, for the time that is left; lives as long as its worker."""

    seconds: float | None = None
    _before: tuple[int, float] | None = field(default=None, repr=False)

    def see(self, step: int, time: float) -> None:
        """A step was finished at a time."""
        if self._before is not None and step > self._before[0] and time > self._before[1]:
            lately = (time - self._before[1]) / (step - self._before[0])
            self.seconds = lately if self.seconds is None else 0.9 * self.seconds + 0.1 * lately
        self._before = (step, time)

    def left(self, steps: int) -> float | None:
        """Seconds for so many steps more."""
        return None if self.seconds is None else max(steps, 0) * self.seconds


class Products(Protocol):
    """Where the checkpoints that events tell of come from."""

    def ready(self, run: Run, event: dict[str, Any]) -> bool:
        """Whether the checkpoint of an event lies in the storage, or never will."""

    def key(self, run: Run, path: object) -> str | None:
        """The key of the checkpoint that an event names; None when it names none of the run's."""

    def gone(self, run: Run, key: str) -> bool:
        """Whether its run has really removed the checkpoint."""

    def everywhere(self, run: Run) -> bool:
        """Whether what the run writes lies where every machine finds it."""

    def facts(self, run: Run, key: str) -> folders.Facts:
        """What the checkpoint holds.  Raises Unfit."""


def drain(
    session: Session, run: Run, folder: Path, pace: Pace | None = None, products: "Products | None" = None
) -> bool:
    """Store what `run` (locked in `session`) has written since its offset; true when there may be more at once."""
    before = run.events_offset
    stored = store(session, run, read(folder / EVENTS, before), products or Written(folder), pace)
    return stored == LINES_AT_ONCE or run.events_offset - before >= BYTES_AT_ONCE


def store(session: Session, run: Run, lines: Iterable[Line], products: Products, pace: Pace | None = None) -> int:
    """Store lines and move the offset behind the last of them; returns how many.

    It ends before a checkpoint that is not in the storage yet: whoever sees its row can use it.
    """
    readings: list[Reading] = []
    stored = 0
    for line in lines:
        if line.event is None:
            _note(session, run, "log", None, {"level": "warning", "message": "An unreadable event was left out."})
        elif line.event.get("type") == "checkpoint" and not products.ready(run, line.event):
            break
        elif line.event.get("type") == "resumed":
            record(session, run.id, readings)
            readings.clear()
            _take_back(session, run, line)
        else:
            _take(session, run, products, line, readings, pace)
        run.events_offset = line.end
        stored += 1
    record(session, run.id, readings)
    if stored:
        run.eta_seconds = pace.left(run.total - run.done) if pace else None
    return stored


class Written:
    """Checkpoints in the run's folder on this machine, where that is the storage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ready(self, run: Run, event: dict[str, Any]) -> bool:  # noqa: ARG002
        return True

    def key(self, run: Run, path: object) -> str | None:
        found = (self.folder / str(path)).resolve()
        if found == self.folder.resolve() or not found.is_relative_to(self.folder.resolve()):
            log.warning("checkpoint outside its run", run_id=str(run.id))
            return None
        key = f"runs/{run.id}/{found.relative_to(self.folder.resolve()).as_posix()}"
        return key if storage.fits(key) else None

    def gone(self, run: Run, key: str) -> bool:
        return not self.place(run, key).exists()

    def everywhere(self, run: Run) -> bool:
        return storage.get_storage().in_place(self.folder, f"runs/{run.id}")

    def facts(self, run: Run, key: str) -> folders.Facts:
        return folders.read_own(self.place(run, key))

    def place(self, run: Run, key: str) -> Path:
        """Where the run wrote the checkpoint of a key."""
        return self.folder / key.removeprefix(f"runs/{run.id}/")


def _take(
    session: Session, run: Run, products: Products, line: Line, readings: list[Reading], pace: Pace | None
) -> None:
    event = line.event or {}
    kind, step = str(event.pop("type", "log"))[:LONGEST_NAME], _step(event.get("step"))
    values = event.pop("values", None)
    if isinstance(values, dict) and step is not None:
        readings += [
            Reading(str(name)[:LONGEST_NAME], step, _number(value), line.start) for name, value in values.items()
        ]
    total = _step(event.get("total_steps"))
    if total:
        run.total = total
    if kind == "step":
        if step is not None:
            run.done = max(run.done, step)
            time = _number(event.get("time"))
            if pace is not None and time is not None:
                pace.see(step, time)
        return
    if kind == "state":
        if step is not None and run.place is Place.worker:
            resuming.saved(run, step, everywhere=products.everywhere(run))
        return
    if kind == "checkpoint" and step is not None:
        event["checkpoint_id"] = _product(session, run, products, step, event)
    if kind == "log" and isinstance(event.get("device"), str):
        run.device = event["device"][:LONGEST_NAME]
        run.devices = min(max(_step(event.get("devices")) or 1, 1), MOST_DEVICES)
    if kind == "log" and event.get("removed_checkpoint"):
        key = products.key(run, event["removed_checkpoint"])
        if key is not None and products.gone(run, key):
            checkpoints.forget_product(session, run.id, key)
    _note(session, run, kind, step, event)


def _take_back(session: Session, run: Run, line: Line) -> None:
    """A run goes on after a step: what was told of later ones is told again."""
    event = line.event or {}
    step = _step(event.get("step")) or 0
    resuming.rewind(session, run, step, line.start, evaluates=event.get("evaluates") is True)
    _note(session, run, "resumed", step, {"step": step})


def _product(session: Session, run: Run, products: Products, step: int, event: dict[str, Any]) -> str | None:
    """The row of a checkpoint that the run has written; None when its folder is not fit (kept in the event)."""
    key = products.key(run, event.get("path") or f"checkpoints/{step}")
    if key is None:
        return None
    try:
        facts = products.facts(run, key)
    except folders.Unfit as error:
        event["unfit"] = error.reason
        return None
    parent = session.get_one(Checkpoint, run.checkpoint_id)
    made = checkpoints.add_product(
        session, run_id=run.id, run_name=run.name, parent=parent, step=step, key=key, facts=facts
    )
    return str(made.id)


def _note(session: Session, run: Run, kind: str, step: int | None, payload: dict[str, Any]) -> None:
    session.add(RunEvent(run_id=run.id, kind=kind, step=step, payload=_plain(payload)))
    session.flush()  # ids sort by insertion: one at a time keeps the order of the file


def read(path: Path, offset: int) -> Iterator[Line]:
    """Whole lines from `offset`, until there are enough for one transaction; one still being written is left alone."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(offset)
        for _ in range(LINES_AT_ONCE):
            start = file.tell()
            if start - offset >= BYTES_AT_ONCE:
                return
            raw = file.readline(LONGEST_LINE)
            whole = raw.endswith(b"\n")
            while not whole and len(raw) == LONGEST_LINE:  # too long to keep: skipped to its end
                raw = file.readline(LONGEST_LINE)
                if raw.endswith(b"\n"):
                    yield Line(start, file.tell(), None)
                    break
            else:
                if not whole:
                    return
                yield Line(start, file.tell(), _event(raw))


def _event(raw: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(raw, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _step(value: object) -> int | None:
    valid = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LAST_STEP
    return value if valid and isinstance(value, int) else None


def _number(value: object) -> float | None:
    """A finite float, or None: neither JSON nor a chart knows any other."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _plain(value: Any) -> Any:
    """What JSONB takes: no NUL, no lone surrogates, no numbers that are none, no endless texts."""
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, str):
        text = value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
        return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " … (cut)"
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
