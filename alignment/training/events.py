"""What a run says while it works: one JSON object per line of `events.jsonl`, flushed as it is written."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

TRACE = "PLUMBLINE_TRACE"  # ids that whoever started this process wants in every line of its log, as a JSON object

Listener = Callable[[dict[str, Any]], None]


class Events:
    """Writes events to a file and tells listeners of each; use as a context manager."""

    def __init__(self, path: Path, listener: Listener | None = None) -> None:
        self._file = path.open("ab", buffering=0)
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
        """A line of the run's log; `facts` hold its numbers."""
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
