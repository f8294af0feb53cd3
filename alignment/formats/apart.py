"""Reading files of others in a process of its own, with limits of memory and time: what kills it kills nothing else.

`python -m alignment.formats.apart` takes one job as JSON on its input. `look` answers one JSON object; `rows` writes
the rows of a Parquet file as JSON lines, a row that is none as `[field, reason, excerpt]`, and at the end `{}` alone.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from alignment.amounts import amount
from alignment.formats.canonical import BadRow, FileRefused, RowError, excerpt, storable

MEMORY_BYTES = 2 << 30
LOOK_SECONDS: Final = 20
SMALLER: Final = "Write the file as JSON lines, or with smaller row groups and rows."
INSIDE: Final = "PLUMBLINE_READING_APART"
_ENDED: Final = b"{}"
_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV", "TZ")


class TooMuch(FileRefused):
    """Reading the file took more memory or time than it may."""


def look(path: Path, **how: Any) -> dict[str, Any]:
    """`alignment.formats.look.look` in a process of its own.  Raises FileRefused, TooMuch."""
    job = {"do": "look", "memory_bytes": MEMORY_BYTES, "path": str(path), **how}
    try:
        ended = subprocess.run(  # noqa: S603  (our own program)
            _command(),
            input=orjson.dumps(job),
            capture_output=True,
            env=_environment(),
            timeout=LOOK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TooMuch(
            f"The first rows take longer than {LOOK_SECONDS} seconds to read.",
            "Split the file, or make its rows smaller.",
        ) from None
    found = _answer(ended.returncode, ended.stdout)
    if "refused" in found:
        raise FileRefused(*found["refused"])
    return found


def parquet(
    path: Path, *, max_row_bytes: int, progress: Callable[[int], None] | None = None
) -> Iterator[tuple[int, dict[str, Any]] | RowError]:
    """Every row of a Parquet file with its number from 1, unpacked in a process of its own.  Raises FileRefused."""
    size = path.stat().st_size
    job = {"do": "rows", "memory_bytes": MEMORY_BYTES, "path": str(path), "max_row_bytes": max_row_bytes}
    with subprocess.Popen(  # noqa: S603  (our own program)
        _command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment()
    ) as child:
        try:
            assert child.stdin is not None  # noqa: S101  (pipes, by the call)
            assert child.stdout is not None  # noqa: S101
            child.stdin.write(orjson.dumps(job))
            child.stdin.close()
            last: Any = None
            for number, line in enumerate(child.stdout, start=1):
                last = orjson.loads(line)
                if isinstance(last, dict) and "row" not in last:
                    break
                yield RowError(number, *last) if isinstance(last, list) else (number, last["row"])
                if progress is not None and number % 100 == 0 and isinstance(last, dict):
                    progress(int(size * last["share"]))
            if last == {}:
                if progress is not None:
                    progress(size)
                return
            raise FileRefused(*_answer(child.wait(), orjson.dumps(last or {}))["refused"])
        finally:
            child.kill()


def _command() -> list[str]:
    return [sys.executable, "-m", "alignment.formats.apart"]


def _environment() -> dict[str, str]:
    """Nothing secret: what reads the files of others need not know tokens and passwords."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | {
        "OMP_NUM_THREADS": "1",
        INSIDE: "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    }


def _answer(code: int, out: bytes) -> dict[str, Any]:
    """What the process has said.  Raises TooMuch when it was ended for its memory or time, or said nothing."""
    found: Any = None
    with contextlib.suppress(orjson.JSONDecodeError):
        found = orjson.loads(out)
    if code != 0 or not isinstance(found, dict) or not found or "memory" in found:
        raise TooMuch(
            f"Reading the file takes more than {amount(MEMORY_BYTES)} of memory, or breaks the reader: it unpacks to "
            "far more than its size.",
            SMALLER,
        )
    return found


# ---- in the process -------------------------------------------------------------------------------------------------


def main() -> int:
    """Do the one job of this process."""
    job = orjson.loads(sys.stdin.buffer.read())
    memory = job.pop("memory_bytes")
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    path = Path(job.pop("path"))
    try:
        if job.pop("do") == "look":
            _look(path, **job)
        else:
            _rows(path, **job)
    except FileRefused as refused:
        _say({"refused": [refused.reason, refused.remedy]})
    except MemoryError:
        _say({"memory": True})
    sys.stdout.buffer.flush()
    return 0


def _say(value: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps(value) + b"\n")


def _look(path: Path, columns: Any, survey: Any, **how: Any) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (LOOK_SECONDS, LOOK_SECONDS))
    from alignment.formats.look import look as first_rows
    from alignment.formats.mapped import Columns
    from alignment.formats.survey import Survey

    found = first_rows(
        path,
        columns=Columns(**columns) if columns else None,
        survey=Survey(**survey) if survey else None,
        **how,
    )
    _say(found)


def _rows(path: Path, max_row_bytes: int) -> None:
    from alignment.formats import parquet as container

    shares = [0]
    total = max(1, path.stat().st_size)
    for found in container.rows(path, max_row_bytes=max_row_bytes, progress=lambda done: shares.append(done)):
        if isinstance(found, RowError):
            _say([found.field, found.reason, found.excerpt])
            continue
        try:
            row = {name: storable(value, name) for name, value in container.plain(found[1]).items()}
            line = orjson.dumps({"row": row, "share": shares[-1] / total})
        except BadRow as bad:
            _say([bad.field, bad.reason, excerpt(found[1])])
        except (TypeError, orjson.JSONEncodeError):
            _say(["row", "The row holds bytes or another value that is neither text nor number.", ""])
        else:
            sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.write(_ENDED + b"\n")


if __name__ == "__main__":
    sys.exit(main())
