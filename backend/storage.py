"""Where large things lie: snapshots, checkpoints, uploads and exports, each under a key that names no machine.

`PLUMBLINE_STORAGE` is a folder that every machine sees (unset: the data folder, where nothing is ever copied), or an
fsspec URL such as `s3://bucket/prefix`. Rows keep keys (`snapshots/<hash>`); an absolute path in a row is a folder that
somebody registered, and `package:` a folder that comes with the program.
"""

import errno
import os
import re
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from backend.errors import AppError, NoSpace, Unavailable
from backend.settings import get_settings

PACKAGED = "package:"
_KEY = re.compile(r"(?!\.)[A-Za-z0-9._-]+(?:/(?!\.)[A-Za-z0-9._-]+)*")

Use = Callable[[str], Path]


class StorageTrouble(Unavailable):
    title = "Storage unavailable"


class StorageRefused(StorageTrouble):
    title = "Storage refuses the credentials"


class StorageMissing(StorageTrouble):
    title = "No such storage"


class ObjectMissing(AppError):
    status, title = 410, "Gone from storage"


class ObjectDamaged(StorageTrouble):
    title = "Damaged in storage"


class BadKey(ValueError):
    """A key that could lead outside the storage."""


class Store(ABC):
    """A place of objects, each a file or a folder of files that never changes once it is there."""

    @abstractmethod
    def put(self, source: Path, key: str, *, move: bool = False) -> None:
        """Afterwards the object is there whole, or an error was raised and it is not. One that is there is kept.

        With `move` the source goes: it becomes the object, or this machine's copy of it.
        """

    @abstractmethod
    def in_place(self, source: Path, key: str) -> bool:
        """Whether a file or folder of this machine is where the object lies."""

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Whether the object is there, whole."""

    @abstractmethod
    def size(self, key: str) -> int:
        """Bytes of all its files.  Raises ObjectMissing."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Afterwards the object is gone, here and in this machine's cache; no error when it was."""

    @abstractmethod
    def shown(self, key: str) -> str:
        """What people are told of where the object lies: a path where there is one, else the key."""

    @abstractmethod
    def outline(self, key: str) -> Path:
        """A folder on this machine with the object's files, of which those of weights may hold their headers alone."""

    @abstractmethod
    def hold(self, key: str, until: ExitStack) -> Path:
        """The object on this machine, which stays there until the stack is closed.  Raises StorageTrouble,
        ObjectMissing, ObjectDamaged, NoSpace."""

    @abstractmethod
    def check(self) -> None:
        """Write, read and remove a small object.  Raises StorageTrouble with what is wrong."""


class FolderStore(Store):
    """Objects in a folder that every machine sees at its own path; nothing is copied to be read."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def put(self, source: Path, key: str, *, move: bool = False) -> None:
        place = self._place(key)
        if self.in_place(source, key):
            return
        if self.exists(key):
            if move:
                remove(source)
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.parent / f".arriving-{uuid.uuid4()}"
        try:
            if not (move and _renamed(source, place)):
                _copy(source, partial)
                partial.rename(place)
                if move:
                    remove(source)
        except OSError as error:
            if not place.exists():  # else another machine has put the same there first, which is as good
                raise named(error) from error
        finally:
            remove(partial)

    def in_place(self, source: Path, key: str) -> bool:
        return self._place(key) == source.absolute()

    def exists(self, key: str) -> bool:
        place = self._place(key)
        return place.is_file() or (place.is_dir() and any(place.iterdir()))

    def size(self, key: str) -> int:
        place = self._found(key)
        files = place.rglob("*") if place.is_dir() else (place,)
        return sum(path.stat().st_size for path in files if path.is_file())

    def delete(self, key: str) -> None:
        remove(self._place(key))

    def shown(self, key: str) -> str:
        return str(self._place(key))

    def outline(self, key: str) -> Path:
        return self._found(key)

    def hold(self, key: str, until: ExitStack) -> Path:  # noqa: ARG002  (nothing here is ever evicted)
        return self._found(key)

    def check(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".probe-{uuid.uuid4()}"
            probe.write_bytes(b"here")
            probe.unlink()
        except OSError as error:
            raise named(error) from error

    def _place(self, key: str) -> Path:
        return self.root / checked(key)

    def _found(self, key: str) -> Path:
        place = self._place(key)
        if not place.exists():
            raise missing(key)
        return place


def checked(key: str) -> str:
    """The key, surely below the storage.  Raises BadKey."""
    if not fits(key):
        raise BadKey(key)
    return key


def fits(key: str) -> bool:
    """Whether it can be a key."""
    return _KEY.fullmatch(key) is not None


def missing(key: str) -> ObjectMissing:
    """The error for an object that is not there, or not whole."""
    return ObjectMissing(f"{key} is not in the storage.", remedy="It may have been removed; choose another.")


def named(error: BaseException) -> AppError:
    """The error for people that an exception of a file system or a protocol amounts to."""
    if isinstance(error, AppError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace("The disk is full: nothing half-written was kept.", remedy="Free some space, then try again.")
    kind = type(error).__name__
    if isinstance(error, PermissionError) or "Credential" in kind:
        return StorageRefused(
            "The storage refuses this machine's credentials.",
            remedy="Look at PLUMBLINE_STORAGE and the AWS_ variables (or the folder's rights) on this machine.",
        )
    if isinstance(error, FileNotFoundError) or "NoSuchBucket" in str(error):
        return StorageMissing(
            "The bucket or folder that PLUMBLINE_STORAGE names does not exist.",
            remedy="Make it, or correct PLUMBLINE_STORAGE.",
        )
    return StorageTrouble(f"The storage does not answer ({kind}).", remedy="Look at its server and the network.")


def get_storage() -> Store:
    """The storage of this process."""
    settings = get_settings()
    return _store(settings.storage or "", settings.data.absolute(), settings.cache_bytes)


@lru_cache
def _store(where: str, data: Path, cache_bytes: int) -> Store:
    if "://" not in where:
        return FolderStore(Path(where) if where else data)
    from backend.remote import RemoteStore, file_system

    return RemoteStore(*file_system(where), data / "cache", cache_bytes)


def is_key(path: str) -> bool:
    """Whether a row's path names something in the storage."""
    return not path.startswith((PACKAGED, "/")) and "://" not in path


def key_of(path: Path) -> str | None:
    """The key of an object that lies at `path` of this machine; None where nothing of the storage can lie."""
    for root in roots():
        if path.absolute().is_relative_to(root):
            key = path.absolute().relative_to(root).as_posix()
            return key if fits(key) else None
    return None


def roots() -> list[Path]:
    """The folder of the storage by each of its names on this machine; none where the storage is a URL."""
    store = get_storage()
    return list(dict.fromkeys((store.root, store.root.resolve()))) if isinstance(store, FolderStore) else []


def local(path: str) -> Path:
    """What a row's path names, on this machine for the next minutes; for longer work see `using`."""
    with using() as use:
        return use(path)


@contextmanager
def using() -> Iterator[Use]:
    """A function that gives the place of a row's path on this machine; all of them stay until the block ends."""
    with ExitStack() as held:
        yield lambda path: get_storage().hold(path, held) if is_key(path) else outside(path)


def outside(path: str) -> Path:
    """The folder of a path that is no key: one that was registered, or one that comes with the program."""
    if not path.startswith(PACKAGED):
        return Path(path)
    package, _, inner = path.removeprefix(PACKAGED).partition("/")
    found = find_spec(package)
    places = found.submodule_search_locations if found else None
    return Path(next(iter(places or ["/"]))) / inner


def open_file(key: str) -> BinaryIO:
    """A file object to read an object that is one file."""
    return local(key).open("rb")


def put(source: Path, key: str, *, move: bool = False) -> str:
    """Store a file or folder under a key, whole or not at all, and return the key."""
    get_storage().put(source, key, move=move)
    return key


def exists(path: str) -> bool:
    """Whether what a row's path names can be had on this machine."""
    return get_storage().exists(path) if is_key(path) else outside(path).exists()


def size(key: str) -> int:
    """Bytes of an object."""
    return get_storage().size(key)


def delete(key: str) -> None:
    """Afterwards the object is gone."""
    get_storage().delete(key)


def outline(path: str) -> Path:
    """A folder with the headers of a checkpoint, at the cost of little more than them."""
    return get_storage().outline(path) if is_key(path) else outside(path)


def shown(path: str) -> str:
    """What people are told of where a row's path lies."""
    return get_storage().shown(path) if is_key(path) else str(outside(path))


def _renamed(source: Path, place: Path) -> bool:
    try:
        source.rename(place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _copy(source: Path, target: Path) -> None:
    """A durable copy; links are not followed out of a folder."""
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copyfile(source, target)
    for path in (target, *(target.rglob("*") if target.is_dir() else ())):
        if path.is_symlink():
            continue
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove(path: Path) -> None:
    """Afterwards the file or folder is gone; no error when it was."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
