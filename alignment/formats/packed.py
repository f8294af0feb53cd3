"""Files packed with gzip or zstd, unpacked under limits before they are read."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final, cast

from alignment.formats.canonical import FileRefused

BLOCK: Final = 1 << 20
MOST_RATIO: Final = 200  # texts pack 3 to 20 times smaller, tables of equal words perhaps 100 times
FREE_BYTES: Final = 64 << 20  # below this size nobody asks for the ratio
_MAGICS: Final = {b"\x1f\x8b": "gzip", b"(\xb5/\xfd": "zstd"}


def packing_of(path: Path) -> str | None:
    """`gzip` or `zstd` by the file's first bytes, or None."""
    with path.open("rb") as file:
        start = file.read(4)
    return next((name for magic, name in _MAGICS.items() if start.startswith(magic)), None)


def unpack(
    path: Path, target: Path, *, most: int, only_start: bool = False, check: Callable[[], None] = lambda: None
) -> None:
    """Write the unpacked bytes to `target`: all of them, or with `only_start` whole lines up to `most` bytes.

    Raises FileRefused when they are more than `most`, hundreds of times more than the packed ones, or damaged; then
    nothing is left.
    """
    packing, size = packing_of(path), 0
    allowed = max(FREE_BYTES, path.stat().st_size * MOST_RATIO)
    try:
        with _opened(path, packing) as source, target.open("xb") as out:
            while block := source.read(BLOCK):
                check()
                size += len(block)
                if only_start and size > most:
                    out.write(block[: block.rfind(b"\n") + 1])
                    break
                _refuse_bomb(size, min(most, allowed))
                out.write(block)
            os.fsync(out.fileno())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        target.unlink(missing_ok=True)
        raise FileRefused("The packed file is damaged or cut off.", "Pack or copy it again.") from error
    except OSError as error:
        target.unlink(missing_ok=True)
        if packing == "zstd" and error.errno is None:  # how Arrow says that the stream is broken
            raise FileRefused("The packed file is damaged or cut off.", "Pack or copy it again.") from error
        raise
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _refuse_bomb(size: int, most: int) -> None:
    if size > most:
        raise FileRefused(
            f"The file unpacks to more than {most:,} bytes.", "Split it; if it is sound, unpack it yourself first."
        )


def _opened(path: Path, packing: str | None) -> IO[bytes]:
    if packing == "zstd":
        import pyarrow as pa

        return cast(IO[bytes], pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))
    return cast(IO[bytes], gzip.open(path, "rb"))
