"""How rows lie in a file: JSON lines, one JSON array, Parquet, a table of text, or lines; read in constant memory."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final, Literal

import orjson

from alignment.formats import apart, delimited
from alignment.formats.canonical import BadRow, FileRefused, RowError, excerpt
from alignment.formats.delimited import Layout, sniff
from alignment.formats.mapped import Columns

Container = Literal["jsonl", "json", "parquet", "table", "lines"]
Progress = Callable[[int], None]
Row = tuple[int, dict[str, Any]]

MAX_ROW_BYTES: Final = 10_000_000
BLOCK: Final = 1 << 20
_BOM: Final = b"\xef\xbb\xbf"
_REFUSED_STARTS: Final = {
    b"\x1f\x8b": ("The file is compressed with gzip.", "Unpack it first."),
    b"PK\x03\x04": ("The file is a zip archive or a spreadsheet.", "Unpack it, or save the sheet as JSON lines."),
    b"BZh": ("The file is compressed with bzip2.", "Unpack it first."),
    b"(\xb5/\xfd": ("The file is compressed with zstd.", "Unpack it first."),
}
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


def container_of(path: Path) -> Container:
    """The container by its first bytes, whatever the file's name.  Raises FileRefused when there is nothing to read."""
    with path.open("rb") as file:
        start = file.read(4096)
        while start and not start.lstrip(_BOM + b" \t\r\n") and (more := file.read(4096)):
            start = more
    if start.startswith(b"PAR1"):
        return "parquet"
    for magic, (reason, remedy) in _REFUSED_STARTS.items():
        if start.startswith(magic):
            raise FileRefused(reason, remedy)
    first = start.removeprefix(_BOM).lstrip()
    if not first:
        raise FileRefused("The file is empty.", "Choose a file that holds rows.")
    if first[:1] in (b"[", b"{"):
        return "json" if first.startswith(b"[") else "jsonl"
    if start.startswith(_UTF16) and start[2:].replace(b"\x00", b"").lstrip()[:1] in (b"[", b"{"):
        raise FileRefused("The file is in UTF-16, not UTF-8.", "Save it again with the encoding UTF-8.")
    if _mostly_objects(start):
        return "jsonl"
    return "table" if sniff(path).delimiter else "lines"


def _mostly_objects(start: bytes) -> bool:
    """Whether most lines begin an object, though the first does not."""
    lines = [line for line in start.split(b"\n") if line.strip()]
    return sum(line.lstrip().startswith(b"{") for line in lines) * 2 >= max(2, len(lines))


def rows(
    path: Path,
    *,
    max_row_bytes: int = MAX_ROW_BYTES,
    progress: Progress | None = None,
    columns: Columns | None = None,
) -> Iterator[Row | RowError]:
    """Every row of a file with its line (text) or number (array, Parquet), in order; bad ones as RowError.

    `progress` is told the bytes read so far, or for Parquet the equal share of the file's size.  A mapping that says
    how a table is laid out is believed.
    """
    container = container_of(path)
    layout = layout_of(path, container, columns)
    if layout is not None:
        yield from delimited.rows(path, layout, max_row_bytes=max_row_bytes, progress=progress)
        return
    if container == "parquet":
        yield from _parquet(path, max_row_bytes, progress)
        return
    with path.open("rb", buffering=BLOCK) as file:
        pieces = (
            _lines(file, max_row_bytes, progress) if container == "jsonl" else _elements(file, max_row_bytes, progress)
        )
        for number, offset, piece in pieces:
            yield RowError(number, "row", piece) if isinstance(piece, str) else _parsed(number, offset, piece)


def layout_of(path: Path, container: Container, columns: Columns | None) -> Layout | None:
    """How a table or lines of text are laid out, a mapping's word first; None for the other containers."""
    if columns is None:
        return sniff(path) if container in ("table", "lines") else None
    if container in ("table", "lines") or columns.delimiter is not None:
        return sniff(path, columns.delimiter, columns.encoding, columns.named())
    return None


def _parquet(path: Path, cap: int, progress: Progress | None) -> Iterator[Row | RowError]:
    """Rows of a Parquet file, which may unpack to any size: read by a process that may use so much memory only."""
    if apart.INSIDE not in os.environ:
        yield from apart.parquet(path, max_row_bytes=cap, progress=progress)
        return
    from alignment.formats import parquet  # pyarrow costs 0.3 s to import; most files are JSON

    for row in parquet.rows(path, max_row_bytes=cap, progress=progress):
        if isinstance(row, RowError):
            yield row
            continue
        try:
            yield row[0], parquet.plain(row[1])
        except BadRow as bad:
            yield RowError(row[0], bad.field, bad.reason, excerpt(row[1]))


Piece = tuple[int, int, bytes | str]
"""Number, byte offset in the file, and the row's bytes; or the reason why there are none."""


def _too_long(size: int, cap: int) -> str:
    return f"The row is {size:,} bytes long; at most {cap:,} are read. It was skipped."


def _lines(file: IO[bytes], cap: int, progress: Progress | None) -> Iterator[Piece]:
    number, offset = 0, 0
    while line := file.readline(cap + 2):
        number += 1
        start, size = offset, len(line)
        cut = size == cap + 2 and not line.endswith(b"\n")
        too_long = cut or len(line.rstrip(b"\r\n")) > cap
        if cut:
            while (rest := file.readline(BLOCK)) and (size := size + len(rest)) and not rest.endswith(b"\n"):
                pass
        offset += size
        if progress is not None:
            progress(offset)
        if number == 1:
            line = line.removeprefix(_BOM)
        if too_long:
            yield number, start, _too_long(size, cap)
        elif not line.isspace():
            yield number, start, line


_OUTSIDE = re.compile(rb'["{}\[\],]')
_INSIDE = re.compile(rb'["\\]')


class _Splitter:
    """Cuts the elements out of one JSON array, a block of bytes at a time, holding at most one element."""

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.number = 0
        self.depth = 0  # 1 is inside the array
        self.in_text = False
        self.escaped = False
        self.ended = False
        self.end = 0  # where the list ended, in the block that ended it
        self.element = bytearray()
        self.size = 0
        self.start = 0

    def _keep(self, block: bytes, start: int, end: int, offset: int) -> None:
        if not self.size:
            self.start = offset + start
        self.size += end - start
        if self.size <= self.cap:
            self.element += block[start:end]
        else:
            self.element.clear()

    def _finish(self) -> Iterator[Piece]:
        held, size = bytes(self.element), self.size
        self.element.clear()
        self.size = 0
        if size > self.cap or held.strip():
            self.number += 1
            yield self.number, self.start, (_too_long(size, self.cap) if size > self.cap else held)

    def feed(self, block: bytes, offset: int) -> Iterator[Piece]:
        """The elements that end in this block, which begins at `offset` of the file."""
        position = kept = 0
        if self.escaped:
            position, self.escaped = 1, False
        while found := (_INSIDE if self.in_text else _OUTSIDE).search(block, position):
            at, sign = found.start(), found.group()
            position = at + 1
            if sign == b"\\":
                self.escaped = position >= len(block)
                position += 1
            elif sign == b'"':
                self.in_text = not self.in_text
            elif sign in b"{[":
                self.depth += 1
                kept = position if self.depth == 1 else kept
            elif sign in b"}]":
                self.depth -= 1
                if self.depth == 0:
                    self._keep(block, kept, at, offset)
                    yield from self._finish()
                    self.ended, self.end = True, position
                    return
            elif self.depth == 1:
                self._keep(block, kept, at, offset)
                yield from self._finish()
                kept = position
        self._keep(block, kept, len(block), offset)


def _elements(file: IO[bytes], cap: int, progress: Progress | None) -> Iterator[Piece]:
    splitter, offset = _Splitter(cap), 0
    while block := file.read(BLOCK):
        if splitter.ended:
            rest = block
        else:
            yield from splitter.feed(block, offset)
            rest = block[splitter.end :] if splitter.ended else b""
        if rest.strip():
            yield splitter.number + 1, offset, 'Text follows the closing "]" of the list. It was not read.'
            return
        offset += len(block)
        if progress is not None:
            progress(offset)
    if not splitter.ended:
        splitter.number += 1
        yield splitter.number, splitter.start, 'The file ends in the middle: the closing "]" of the list is missing.'


def _parsed(number: int, offset: int, piece: bytes) -> Row | RowError:
    try:
        row = orjson.loads(piece)
    except orjson.JSONDecodeError:
        return RowError(number, "row", _what_is_wrong(piece, offset), excerpt(piece[:400].decode("utf-8", "replace")))
    if type(row) is not dict:
        return RowError(number, "row", "A row must be an object {…} with named columns.", excerpt(row))
    return number, row


def _what_is_wrong(piece: bytes, offset: int) -> str:
    """Why the strict parser refused the row, in words."""
    try:
        decoded = piece.decode("utf-8")
    except UnicodeDecodeError as error:
        return (
            f"The text is not UTF-8: byte 0x{piece[error.start]:02x} at offset {offset + error.start:,} of the file. "
            "Save the file with the encoding UTF-8."
        )
    try:
        json.loads(decoded, parse_constant=_refuse_constant)
    except _Constant as constant:
        return f"{constant} is not a number that JSON knows."
    except json.JSONDecodeError as error:
        if error.pos >= len(decoded.rstrip()) or error.msg.startswith("Unterminated string"):
            return "The row ends in the middle: its JSON is cut off."
        return f"The row is no valid JSON: {error.msg[0].lower()}{error.msg[1:]} at character {error.pos + 1}."
    except (RecursionError, ValueError):
        return "The row is nested too deep or holds a number too long to read."
    return "The row holds text that is not valid Unicode (half of a surrogate pair), or is nested too deep."


class _Constant(Exception):
    pass


def _refuse_constant(name: str) -> Any:
    raise _Constant(name)
