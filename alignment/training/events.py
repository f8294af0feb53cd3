"""What a run says while it works: one JSON object per line of `events.jsonl`, flushed as it is written."""

from __future__ import annotations

import fcntl
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO

from alignment.training.errors import FolderInUse

TRACE = "PLUMBLINE_TRACE"  # ids that whoever started this process wants in every line of its log, as a JSON object

Listener = Callable[[dict[str, Any]], None]


BLOCK = 1 << 16
LONGEST = 8 << 20  # of a last line that is looked at


class Events:
    """Writes events to a file and tells listeners of each; use as a context manager.

    A file that is there is continued: what readers have of it keeps its place, and only a last line that a killed
    process has not finished is taken back.  Raises FolderInUse when another process writes to it; one that is not
    `alone` writes beside whoever started it.
    """

    def __init__(self, path: Path, listener: Listener | None = None, *, alone: bool = True) -> None:
        self._file = path.open("a+b", buffering=0)
        try:
            if alone:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # given back however the process ends
        except BlockingIOError:
            self._file.close()
            raise FolderInUse(f"{path.parent} is being trained.", "Wait until that ends, or stop it.", "out") from None
        if alone:
            self._file.truncate(_whole(self._file))
        self.last = _last(self._file)  # event that was there before; None in a new file
        self._listeners = [] if listener is None else [listener]
        self._trace = _ids(os.environ.get(TRACE, "{}"))

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def emit(self, type: str, **body: Any) -> None:
        """Write one event; the line is whole or, when the disk is full, not there."""
        ids = self._trace if type in ("log", "error") else {}
        event = {"type": type, "time": round(time.time(), 3), **ids, **body}
        self._append(json.dumps(event, ensure_ascii=False, allow_nan=False, default=str).encode() + b"\n")
        for listener in self._listeners:
            listener(event)

    def follow(self, listener: Listener) -> None:
        """From now on tell this listener too."""
        self._listeners.append(listener)

    def log(self, message: str, level: str = "info", **facts: Any) -> None:
        """A line of the run's log; `facts` hold its numbers, `phase` marks what it is at before its first step."""
        self.emit("log", level=level, message=message, **facts)

    def _append(self, line: bytes) -> None:
        start = self._file.seek(0, os.SEEK_END)
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._file.truncate(start)
            raise


def _whole(file: BinaryIO) -> int:
    """Where the last finished line ends; a hole, which stands for what another machine has written, is one."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - BLOCK)
        file.seek(start)
        block = _read(file, end - start)
        found = max(block.rfind(b"\n"), block.rfind(b"\0"))
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _last(file: BinaryIO) -> dict[str, Any] | None:
    """The last event; an empty one where there is something that is none."""
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return None
    file.seek(max(0, end - LONGEST))
    line = _read(file, LONGEST).rstrip(b"\n").rpartition(b"\n")[2]
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _read(file: BinaryIO, size: int) -> bytes:
    return file.read(size) or b""


def began(path: Path) -> date:
    """The day on which the run whose events lie there began; today when it has none yet."""
    try:
        with path.open("rb") as file:
            return datetime.fromtimestamp(json.loads(file.readline())["time"]).astimezone().date()
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return datetime.now().astimezone().date()


def _ids(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def finite(values: Mapping[str, float]) -> tuple[dict[str, float | None], int]:
    """The values with what is not finite replaced by None, and how many were: JSON and Postgres know no NaN."""
    clean = {name: value if math.isfinite(value) else None for name, value in values.items()}
    return clean, sum(value is None for value in clean.values())
