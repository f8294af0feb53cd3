"""Preference data in and out: public formats, canonical items and their hashes, and the snapshots runs train on.

`read(path)` gives items and row errors of a JSON-lines, JSON, Parquet or CSV file, or of lines of text, in any known
format; `writing.Export` makes the rows of an export and counts what they lose; `preference.decide` turns an item's
labels into chosen and rejected; `snapshot.write` and `snapshot.read` keep the frozen copy that training uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from alignment.formats.canonical import BadRow, FileRefused, Item, Kind, LabelFacts, Message, RowError, excerpt
from alignment.formats.containers import MAX_ROW_BYTES, container_of, rows
from alignment.formats.detect import FORMATS, AmbiguousFormat, Format, UnknownFormat, by_names, detect, named
from alignment.formats.mapped import Columns, Mapped
from alignment.formats.survey import Survey
from alignment.formats.surveyed import Surveyed, joined

__all__ = [
    "FORMATS",
    "AmbiguousFormat",
    "BadRow",
    "Columns",
    "FileRefused",
    "Format",
    "Item",
    "Kind",
    "LabelFacts",
    "Mapped",
    "Message",
    "RowError",
    "SampleRow",
    "Survey",
    "Surveyed",
    "UnknownFormat",
    "detect",
    "excerpt",
    "form_of",
    "named",
    "read",
    "read_rows",
    "recognize",
    "sample",
]

SAMPLE_ROWS = 50


class SampleRow(NamedTuple):
    """A row as it lies in a file, and its line (or number)."""

    line: int
    values: dict[str, Any]


def read(
    path: Path,
    format: str | None = None,
    *,
    max_row_bytes: int = MAX_ROW_BYTES,
    progress: Callable[[int], None] | None = None,
    columns: Columns | None = None,
    survey: Survey | None = None,
) -> Iterator[Item | RowError]:
    """Items of a file in order, with a RowError in the place of each row that is none.

    `format` is detected by content when it is None; `columns` is the mapping of the format `mapped`, `survey` that of
    labelling tools (guessed when it is None).  Memory stays constant whatever the file's size.

    Raises FileRefused when the file as a whole cannot be read, UnknownFormat when no format fits, AmbiguousFormat when
    several do, NotSaid when a survey cannot be guessed.
    """
    if format is None and columns is None:
        form = recognize(path, sample(path, max_row_bytes=max_row_bytes)[0])
    else:
        form = form_of(format, columns)
    if isinstance(form, Surveyed):
        first = [] if survey else [row.values for row in sample(path, max_row_bytes=max_row_bytes)[0]]
        form = form.by(survey or form.guess(first))
        yield from joined(_items(form, _plain_rows(path, max_row_bytes, progress, columns)))
        return
    yield from _items(form, _plain_rows(path, max_row_bytes, progress, columns))


def _items(form: Format, source: Iterable[SampleRow | RowError]) -> Iterator[Item | RowError]:
    empty = True
    for row in source:
        empty = False
        yield row if isinstance(row, RowError) else _item(form, row)
    if empty:
        raise FileRefused("The file holds no rows.", "Choose a file that holds rows.")


def form_of(format: str | None, columns: Columns | None) -> Format:
    """The format of that name; with a mapping of columns, the format that reads by it.  Raises UnknownFormat."""
    if columns is not None and format in (None, Mapped.NAME):
        return Mapped(columns)
    return named(format or Mapped.NAME)


def recognize(path: Path, found: Sequence[SampleRow]) -> Format:
    """The format of a file whose first rows are given; a table is read by the mapping that its names suggest.

    Raises UnknownFormat, AmbiguousFormat.
    """
    values = [row.values for row in found]
    return by_names(values) if container_of(path) == "table" else detect(values)


def read_rows(form: Format, given: Iterable[SampleRow]) -> Iterator[Item | RowError]:
    """The same for rows that are in memory already."""
    for row in given:
        yield _item(form, row)


def sample(
    path: Path, count: int = SAMPLE_ROWS, *, max_row_bytes: int = MAX_ROW_BYTES, columns: Columns | None = None
) -> tuple[list[SampleRow], list[RowError]]:
    """The readable ones among the first rows of a file, and the unreadable ones."""
    found = list(islice(_plain_rows(path, max_row_bytes, None, columns), count))
    good = [row for row in found if isinstance(row, SampleRow)]
    return good, [row for row in found if isinstance(row, RowError)]


def _plain_rows(
    path: Path, max_row_bytes: int, progress: Callable[[int], None] | None, columns: Columns | None
) -> Iterator[SampleRow | RowError]:
    for row in rows(path, max_row_bytes=max_row_bytes, progress=progress, columns=columns):
        yield row if isinstance(row, RowError) else SampleRow(*row)


def _item(form: Format, row: SampleRow) -> Item | RowError:
    try:
        item = form.parse(row.values)
    except BadRow as bad:
        return RowError(row.line, bad.field, bad.reason, excerpt(row.values))
    item.line = row.line
    return item
