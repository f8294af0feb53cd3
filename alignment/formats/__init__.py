"""Preference data in and out: public formats, canonical items and their hashes, and the snapshots runs train on.

`read(path)` gives items and row errors of a JSON-lines, JSON or Parquet file in any known format; `write_rows` gives
the lines of an export; `preference.decide` turns an item's labels into chosen and rejected; `snapshot.write` and
`snapshot.read` keep the frozen copy that training uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from alignment.formats.canonical import BadRow, FileRefused, Item, LabelFacts, Message, RowError, excerpt
from alignment.formats.containers import MAX_ROW_BYTES, Row, container_of, rows
from alignment.formats.detect import FORMATS, Format, UnknownFormat, detect, named
from alignment.formats.parquet import plain

__all__ = [
    "FORMATS",
    "BadRow",
    "FileRefused",
    "Format",
    "Item",
    "LabelFacts",
    "Message",
    "RowError",
    "UnknownFormat",
    "detect",
    "named",
    "read",
    "sample",
]

SAMPLE_ROWS = 50


def read(
    path: Path,
    format: str | None = None,
    *,
    max_row_bytes: int = MAX_ROW_BYTES,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Item | RowError]:
    """Items of a file in order, with a RowError in the place of each row that is none.

    `format` is detected by content when it is None.  Memory stays constant whatever the file's size.  Raises
    FileRefused when the file as a whole cannot be read, UnknownFormat when no format fits.
    """
    form = detect(sample(path, max_row_bytes=max_row_bytes)[0]) if format is None else named(format)
    parquet, empty = container_of(path) == "parquet", True
    for row in rows(path, max_row_bytes=max_row_bytes, progress=progress):
        empty = False
        yield row if isinstance(row, RowError) else _item(form, *row, parquet=parquet)
    if empty:
        raise FileRefused("The file holds no rows.", "Choose a file that holds rows.")


def _item(form: Format, line: int, row: Row | dict[str, object], *, parquet: bool) -> Item | RowError:
    try:
        item = form.parse(plain(row) if parquet else row)  # type: ignore[arg-type]
    except BadRow as bad:
        return RowError(line, bad.field, bad.reason, excerpt(row))
    item.line = line
    return item


def sample(
    path: Path, count: int = SAMPLE_ROWS, *, max_row_bytes: int = MAX_ROW_BYTES
) -> tuple[list[dict[str, object]], list[RowError]]:
    """The first readable rows of a file as they are, and the unreadable ones among them."""
    good: list[dict[str, object]] = []
    bad: list[RowError] = []
    parquet = container_of(path) == "parquet"
    for row in islice(rows(path, max_row_bytes=max_row_bytes), count):
        if isinstance(row, RowError):
            bad.append(row)
            continue
        try:
            good.append(plain(row[1]) if parquet else row[1])
        except BadRow as problem:
            bad.append(RowError(row[0], problem.field, problem.reason, excerpt(row[1])))
    return good, bad
