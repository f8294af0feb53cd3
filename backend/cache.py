"""This machine's copies of objects in the storage: fetched once, whole, kept while used, the oldest removed first."""

import fcntl
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from backend.errors import NoSpace

GRACE_SECONDS = 600.0  # what was asked for a moment ago is about to be read
RESERVE = 256 << 20  # what the disk keeps free for databases and logs


class Entry(NamedTuple):
    """A copy: its name, its bytes, and when it was last used."""

    name: str
    size: int
    used: float


class Cache:
    """Copies under one folder, safe for several processes. Each has a lock file, held shared by whoever uses it and
    alone by whoever fetches or removes it; the lock's time says when it was last used."""

    def __init__(self, folder: Path, limit: int, grace_seconds: float = GRACE_SECONDS) -> None:
        self.folder, self.limit, self.grace = folder, limit, grace_seconds

    def get(self, key: str, size: Callable[[], int], fetch: Callable[[Path], None], until: ExitStack) -> Path:
        """The copy of `key`, made by `fetch` where it is not here yet, and kept until the stack is closed.

        `fetch` fills the path it is given, or raises.  Raises NoSpace when the disk has no room for `size()`.
        """
        name, title = _name(key), key.rpartition("/")[2]
        place = self.folder / name / title
        lock = self._lock(name)
        until.callback(os.close, lock)
        while True:
            fcntl.flock(lock, fcntl.LOCK_SH)
            if place.exists():
                os.utime(lock)
                return place
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.exists():
                self._arrive(place, size(), fetch)
            # To share the lock it is let go for a moment, in which the copy may be removed: hence the loop.

    def adopt(self, key: str, source: Path) -> None:
        """Make a file or folder of this machine, which moves, the copy of `key`."""
        name, title = _name(key), key.rpartition("/")[2]
        with self._alone(name):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir(parents=True)
            shutil.move(source, self.folder / name / title)
        self.evict()

    def forget(self, key: str) -> None:
        """Remove the copy, as soon as nobody uses it."""
        with self._alone(_name(key)):
            shutil.rmtree(self.folder / _name(key), ignore_errors=True)

    def evict(self, room: int = 0) -> None:
        """Remove the copies that were used longest ago until all of them, with `room` bytes more, keep to the limit;
        never one that is in use."""
        entries = sorted(self._entries(), key=lambda entry: entry.used)
        total = sum(entry.size for entry in entries) + room
        for entry in entries:
            if total <= self.limit and self._fits(room):
                return
            if time.time() - entry.used >= self.grace and self._removed(entry.name):
                total -= entry.size

    def _arrive(self, place: Path, size: int, fetch: Callable[[Path], None]) -> None:
        self.evict(room=size)
        if not self._fits(size):
            raise NoSpace(
                f"There is no room for a copy of {size:,} bytes on this machine.",
                remedy="Free some space under the data folder, then try again.",
            )
        partial = self.folder / f".arriving-{uuid.uuid4()}"
        partial.mkdir(parents=True)
        try:
            fetch(partial / place.name)
            partial.rename(place.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _fits(self, size: int) -> bool:
        self.folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self.folder).free - RESERVE >= size

    def _entries(self) -> Iterator[Entry]:
        for folder in self.folder.iterdir() if self.folder.is_dir() else ():
            if folder.name == "locks":
                continue
            with suppress(FileNotFoundError):  # removed as we looked
                if folder.name.startswith(".arriving-"):
                    if time.time() - folder.stat().st_mtime > 24 * 3600:  # left by a program that was killed
                        shutil.rmtree(folder, ignore_errors=True)
                    continue
                blocks = sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
                yield Entry(folder.name, blocks, (self.folder / "locks" / folder.name).stat().st_mtime)

    def _removed(self, name: str) -> bool:
        lock = self._lock(name)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(self.folder / name, ignore_errors=True)
        except BlockingIOError:
            return False
        finally:
            os.close(lock)
        return True

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        lock = self._lock(name)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _lock(self, name: str) -> int:
        folder = self.folder / "locks"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:40]
