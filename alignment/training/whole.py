"""Folders and files that appear whole or not at all, whenever the process or the machine dies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial"


@contextmanager
def written(place: Path) -> Iterator[Path]:
    """A folder to write into; afterwards it is durable and has the name `place`, or an error was raised and it is gone.

    A killed process leaves at most `.<name>.partial` beside it.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.parent / f".{place.name}{PARTIAL}"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        yield partial
        for path in (*partial.iterdir(), partial):
            sync(path)
        partial.rename(place)
        sync(place.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def replace(path: Path, content: bytes) -> None:
    """Afterwards the file holds the content, durably, or what it held before and an error was raised."""
    partial = path.with_name(f".{path.name}{PARTIAL}")
    try:
        partial.write_bytes(content)
        sync(partial)
        partial.replace(path)
        sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def remove(place: Path) -> None:
    """Afterwards the folder is gone; whoever reads it meanwhile meets all of it or an error, never a part."""
    partial = place.with_name(f".{place.name}{PARTIAL}")
    shutil.rmtree(partial, ignore_errors=True)
    place.rename(partial)
    shutil.rmtree(partial)


def clear(folder: Path) -> None:
    """Remove what killed processes have left half-written in the folder."""
    for partial in folder.glob(f".*{PARTIAL}"):
        shutil.rmtree(partial, ignore_errors=True)


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
