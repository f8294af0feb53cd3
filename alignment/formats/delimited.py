"""Tables of text (CSV, TSV) and plain lines: told apart, read record by record in constant memory, and written."""

from __future__ import annotations

import codecs
import csv
import io
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from alignment.formats.canonical import FileRefused, RowError, excerpt
from alignment.formats.cells import bare, guarded
from alignment.formats.mapped import guess

HEAD: Final = 1 << 18
MAX_COLUMNS: Final = 1_000
DELIMITERS: Final = (",", ";", "\t", "|")
NAMES: Final = {",": "CSV", ";": "CSV with semicolons", "\t": "tab-separated", "|": "CSV with bars"}
_LONG_NAME: Final = 200
_ALIKE: Final = 0.9
Row = tuple[int, dict[str, Any]]
csv.field_size_limit(sys.maxsize)  # the bound is ours: no more bytes of a record are ever given to the parser


class Layout(NamedTuple):
    """How a text file is laid out; without a delimiter it is lines of text."""

    encoding: str
    delimiter: str | None


def sniff(
    path: Path, delimiter: str | None = None, encoding: str | None = None, wanted: Collection[str] = ()
) -> Layout:
    """The layout that the beginning of a file shows, or the one that is said.  Raises FileRefused.

    A first line that names all the `wanted` columns is a table's, whatever follows it.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    found = encoding or _encoding(head)
    text = codecs.getincrementaldecoder(found)("replace").decode(head).removeprefix("\ufeff")
    if "\x00" in text:
        raise FileRefused("The file is not text: it holds zero bytes.", "Choose a text or Parquet file.")
    if text.lstrip()[:1] == "<":
        raise FileRefused("The file is a web page or XML.", "Choose a file that holds rows.")
    if delimiter is not None:
        return Layout(found, delimiter)
    whole = len(head) < HEAD
    rated = [(score, one) for one in DELIMITERS if (score := _columns(text, one, whole, wanted))]
    return Layout(found, max(rated)[1] if rated else None)


def _encoding(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "windows-1252"
    return "utf-8"


def _columns(text: str, delimiter: str, whole: bool, wanted: Collection[str]) -> int:
    """How many columns the text has with this delimiter; 0 when it is no table."""
    first = text.partition("\n")[0]
    if first.count(delimiter) >= MAX_COLUMNS and '"' not in first:
        raise FileRefused(
            f"The first line has more than {MAX_COLUMNS:,} columns.", "Choose a table with fewer columns."
        )
    records: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for record in reader:
            records.append(record)
            if len(records) == 50:
                break
        else:
            if not whole and len(records) > 1:
                records.pop()  # cut off where the head ends
    except csv.Error:
        return 0
    records = [record for record in records if record]
    if not records:
        return 0
    names = [name.strip() for name in records[0]]
    if wanted and set(names).issuperset(wanted):
        return len(names)
    if len(names) == 1:
        return int(guess(names) is not None and len(records) > 1 and delimiter == ",")
    if len(set(names)) < len(names) or not all(names[1:]) or any(len(name) > _LONG_NAME for name in names):
        return 0
    if guess(names) is not None:
        return len(names)
    alike = sum(len(record) == len(names) for record in records[1:])
    return len(names) if len(records) > 1 and alike >= _ALIKE * (len(records) - 1) else 0


def rows(
    path: Path, layout: Layout, *, max_row_bytes: int, progress: Callable[[int], None] | None = None
) -> Iterator[Row | RowError]:
    """Every row with the line on which it begins, in order; bad ones as RowError.  Raises FileRefused."""
    with path.open("rb", buffering=1 << 20) as file:
        lines = _Lines(file, layout, max_row_bytes, progress)
        if layout.delimiter is None:
            yield from _texts(lines)
        else:
            yield from _records(lines, layout.delimiter)


class _Lines:
    """The lines of a file, decoded.  Between two calls of `fresh` no more than `cap` bytes are given out."""

    def __init__(self, file: IO[bytes], layout: Layout, cap: int, progress: Callable[[int], None] | None) -> None:
        encoding, delimiter = layout
        self.file, self.encoding, self.delimiter = file, encoding, delimiter
        wide = encoding == "utf-16"  # there a line end is no byte of its own
        self.text = io.TextIOWrapper(file, encoding, errors="replace", newline="\n") if wide else None
        self.cap, self.progress = cap, progress
        self.number = self.given = self.begun = self.offset = 0
        self.bad = False
        self.too_long = self.too_wide = 0

    def __iter__(self) -> Iterator[str]:
        while (line := self._next()) is not None:
            self.number += 1
            if self.number == 1:
                line = line.removeprefix("\ufeff")
            if not line.isascii() and _holds_bytes(line):
                self.bad = True
            if self.progress is not None:
                self.progress(self.offset)
            if self.given > self.cap + 2:
                self.too_long = self.given
                if self.number > self.begun:
                    raise _TooLong
                line = "\n"
            elif self.delimiter and '"' not in line and (cells := line.count(self.delimiter)) > MAX_COLUMNS:
                self.too_wide, line = cells + 1, "\n"  # before the parser makes a text of each
            yield line

    def _next(self) -> str | None:
        """The next line, or its beginning when it is longer than a row may be; counts its bytes."""
        if self.text is None:
            raw = self.file.readline(self.cap + 2)
            size = len(raw)
            if size == self.cap + 2 and not raw.endswith(b"\n"):
                while (rest := self.file.readline(1 << 20)) and (size := size + len(rest)) and not rest.endswith(b"\n"):
                    pass
            line = raw.decode(self.encoding, "surrogateescape")
        else:
            line = self.text.readline(self.cap + 2)
            size = len(line) * 2
            if len(line) == self.cap + 2 and not line.endswith("\n"):
                while (more := self.text.readline(HEAD)) and (size := size + len(more) * 2) and more[-1] != "\n":
                    pass
        self.offset += size
        self.given += size
        return line or None

    def fresh(self) -> None:
        """A record begins."""
        self.given, self.begun, self.bad = 0, self.number + 1, False
        self.too_long = self.too_wide = 0


class _TooLong(Exception):
    """A record of several lines is longer than a row may be."""


def _holds_bytes(line: str) -> bool:
    """Whether the line holds bytes that the encoding has no character for."""
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _problem(lines: _Lines, line: str | Sequence[str]) -> RowError | None:
    if lines.too_long:
        reason = f"The row is {lines.too_long:,} bytes long; at most {lines.cap:,} are read. It was skipped."
        return RowError(lines.begun, "row", reason)
    if lines.too_wide:
        return RowError(lines.begun, "row", f"The row has {lines.too_wide:,} cells; at most {MAX_COLUMNS:,} are read.")
    if lines.bad:
        reason = "The row holds bytes that are no text in the encoding of the file. Save the file as UTF-8."
        return RowError(lines.begun, "row", reason, excerpt(str(line).encode("utf-8", "replace").decode()))
    return None


def _texts(lines: _Lines) -> Iterator[Row | RowError]:
    lines.fresh()
    for line in lines:
        if (problem := _problem(lines, line)) is not None:
            yield problem
        elif text := line.strip():
            yield lines.number, {"text": text}
        lines.fresh()


def _records(lines: _Lines, delimiter: str) -> Iterator[Row | RowError]:
    lines.fresh()
    reader = csv.reader(lines, delimiter=delimiter)
    names: list[str] = []
    try:
        for record in reader:
            problem = _problem(lines, record)
            if not names:
                if problem is not None:
                    raise FileRefused(f"The first line cannot be read: {problem.reason}", "Correct the file.")
                names = _names(record)
            elif problem is not None:
                yield problem
            elif record:
                yield _row(lines.begun, names, record)
            lines.fresh()
    except _TooLong:
        raise FileRefused(
            f"The quoted text that begins on line {lines.begun:,} is not closed within {lines.cap:,} bytes.",
            "Close the quotes, or write a quotation mark inside a quoted text twice.",
        ) from None
    except csv.Error as error:
        raise FileRefused(
            f"The table cannot be read at line {lines.number:,}: {_why(str(error))}", "Save it as CSV again."
        ) from None
    if not names:
        raise FileRefused("The file holds no rows.", "Choose a file that holds rows.")


def _why(message: str) -> str:
    if "new-line" in message:
        return "a carriage return stands outside quotes."
    return "its quotes or separators are not in order."


def _names(record: Sequence[str]) -> list[str]:
    names = [name.strip() or f"column {place}" for place, name in enumerate(record, start=1)]
    if len(names) > MAX_COLUMNS:
        raise FileRefused(
            f"The table has {len(names):,} columns; at most {MAX_COLUMNS:,} are read.", "Leave columns out."
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FileRefused(f"Two columns are called {excerpt(twice[0], 60)!r}.", "Give each column a name of its own.")
    return names


def _row(line: int, names: Sequence[str], record: Sequence[str]) -> Row | RowError:
    if len(record) != len(names):
        reason = f"The row has {len(record):,} cells, and the first line names {len(names):,} columns."
        return RowError(line, "row", reason, excerpt(", ".join(record[:20])))
    return line, {name: bare(cell) for name, cell in zip(names, record, strict=True)}


def write(rows: Iterable[Mapping[str, Any]], names: Sequence[str], delimiter: str) -> Iterator[bytes]:
    """The table in UTF-8 with a byte order mark, so that spreadsheets read it right; a thousand rows at a time."""
    held = io.StringIO(newline="")
    writer = csv.writer(held, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(names)
    yield codecs.BOM_UTF8
    for number, row in enumerate(rows, start=1):
        writer.writerow([guarded(row.get(name, "")) for name in names])
        if number % 1_000 == 0:
            yield _taken(held)
    yield _taken(held)


def _taken(held: io.StringIO) -> bytes:
    found = held.getvalue().encode()
    held.seek(0)
    held.truncate()
    return found
