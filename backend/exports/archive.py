"""An export as one tar archive, made while it is sent: its size is known before, and any part of it can be sent alone.

A tar of files that do not change is a fixed row of bytes: a header of 512 bytes or a few, the file, and zeros up to the
next 512. So nothing is copied anywhere, and a download that broke off goes on where it stopped.
"""

import io
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from backend.errors import AppError

BLOCK = 1 << 20
UNIT = tarfile.BLOCKSIZE
END = bytes(2 * UNIT)
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")

File = Mapping[str, Any]


class OutOfRange(AppError):
    status, title = 416, "Out of range"


class Range(NamedTuple):
    """A part of an archive: from the first byte up to, and without, the last."""

    start: int
    end: int


class Piece(NamedTuple):
    """Some bytes of the archive: given, or those of a file."""

    length: int
    content: bytes | None = None
    file: str | None = None


def pieces(name: str, files: Sequence[File]) -> Iterator[Piece]:
    """The archive of a folder called `name`, piece by piece."""
    for file in files:
        header = _header(f"{name}/{file['name']}", file["size"])
        yield Piece(len(header), header)
        yield Piece(file["size"], file=file["name"])
        padding = -file["size"] % UNIT
        yield Piece(padding, bytes(padding))
    yield Piece(len(END), END)


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.PAX_FORMAT)


def size(name: str, files: Sequence[File]) -> int:
    """Bytes of the whole archive."""
    return sum(piece.length for piece in pieces(name, files))


def asked(header: str | None, total: int) -> Range | None:
    """The part that a Range header asks for; None for the whole, as for anything but one range of bytes.

    Raises OutOfRange.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if len(first) > 18 or len(last) > 18:
        raise OutOfRange("The archive has no such part.", remedy="Download it from the start.")
    if not first:
        start, end = max(total - int(last), 0), total
    else:
        start, end = int(first), min(int(last) + 1, total) if last else total
    if start >= end:
        raise OutOfRange("The archive has no such part.", remedy="Download it from the start.")
    return Range(start, end)


def stream(folder: Path, name: str, files: Sequence[File], part: Range) -> Iterator[bytes]:
    """The bytes of a part of the archive.  Raises OSError when a file is gone or has become shorter."""
    at = 0
    for piece in pieces(name, files):
        start, end = max(part.start - at, 0), min(part.end - at, piece.length)
        at += piece.length
        if start >= end:
            continue
        if piece.content is not None:
            yield piece.content[start:end]
        else:
            yield from _read(folder / str(piece.file), start, end - start)


def _read(path: Path, start: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start, io.SEEK_SET)
        while length:
            block = file.read(min(BLOCK, length))
            if not block:
                raise OSError(f"{path.name} is shorter than it was")  # the client sees that the archive broke off
            length -= len(block)
            yield block
