"""Making an archive while the program runs: rows in one transaction, then the objects that they name."""

import fcntl
import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import IO, NamedTuple

from psycopg import IsolationLevel

from backend import storage
from backend.settings import Settings
from plumbline.backup import database
from plumbline.backup.manifest import MANIFEST, SECRET, VERSION, Manifest, Member, Table, fits, room
from plumbline.services import Trouble

Told = Callable[[int, int], None]
TRIES = 3
# `removed_at` is a column that older schemas have not.
_PATHS = """
SELECT path FROM snapshots
UNION SELECT path FROM checkpoints c WHERE path NOT LIKE '%://%' AND source <> 'toy'
AND to_jsonb(c) ->> 'removed_at' IS NULL
UNION SELECT 'uploads/' || regexp_replace(u.path, '^.*/', '') FROM uploads u WHERE u.path !~ '://'
AND to_jsonb(u) ->> 'removed_at' IS NULL
AND NOT EXISTS (SELECT FROM imports i WHERE i.upload_id = u.id AND i.state = 'succeeded')
"""


class Picture(NamedTuple):
    """The database at one moment, as files, and what it names."""

    revision: str
    tables: dict[str, Table]
    keys: list[str]
    outside: list[str]
    moved: dict[str, str]
    missing: list[str]

    def alone(self) -> "Picture":
        """The rows without what they name."""
        return self._replace(keys=[], outside=[], moved={})


def make(settings: Settings, target: Path, *, secrets: bool, tell: Told, rows_only: bool = False) -> Manifest:
    """Afterwards `target` is an archive of all that the program holds, or of its rows; it is there whole or not at all.

    Raises Trouble.
    """
    if target.exists():
        raise Trouble(f"{target} exists already. Name another file.")
    url = settings.database_url
    assert url is not None  # noqa: S101  (borrowed)
    unwritten = f"{target} was not written. Free some space, or name a file on another disk."
    with room(unwritten), ExitStack() as held, _staging(settings) as staging, _part(target) as (part, out):
        picture = _rows(url, staging).alone() if rows_only else _picture(url, staging, held)
        files = dict(_files(staging, picture))
        if secrets and (key := settings.data / SECRET).is_file():
            files[SECRET] = key
        manifest = _write(out, files, picture, tell, rows_only=rows_only)
        part.rename(target)
    return manifest


@contextmanager
def _part(target: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """The file that becomes `target`, and is gone when it does not; what a killed backup left of it is written over."""
    part = target.with_name(f".{target.name}.part")
    with part.open("ab") as out:
        part.chmod(0o600)
        try:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Trouble(f"Another backup is writing {target}. Name another file.") from error
        out.truncate(0)
        try:
            yield part, out
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def _staging(settings: Settings) -> Iterator[Path]:
    """A folder beside the objects, for links to them; one backup at a time, and what a killed one left is removed."""
    root = Path(settings.storage) if settings.storage and "://" not in settings.storage else settings.data
    folder = root / ".backup"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Trouble("Another backup is being made. Wait until it is done.") from error
        for leftover in folder.iterdir():
            if leftover.name != "lock":
                storage.remove(leftover)
        place = Path(tempfile.mkdtemp(dir=folder))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _picture(url: str, staging: Path, held: ExitStack) -> Picture:
    """Rows and objects of one moment. An object that is removed between the two is looked for in a later picture; one
    that is missing again was gone before."""
    before: list[str] | None = None
    for _ in range(TRIES):
        picture = _rows(url, staging)
        missing = [key for key in picture.keys if not _keep(key, staging / "objects" / key, held)]
        if missing in ([], before):
            break
        before = missing
    there = [key for key in picture.keys if key not in missing]
    moved = {path: key for path, key in picture.moved.items() if key in there}
    return picture._replace(keys=there, missing=missing, moved=moved)


def _rows(url: str, staging: Path) -> Picture:
    """The rows of one moment, as files under `staging`, and what they name."""
    for name in ("database", "objects"):
        storage.remove(staging / name)
        (staging / name).mkdir()
    with database.connect(url) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        if database.marked(connection):
            raise Trouble("A restore into this database has not ended: it is not whole, and was not backed up.")
        found = database.revision(connection)
        if found is None:
            raise Trouble("The database has no schema of Plumbline: there is nothing to back up.")
        tables = database.dump(connection, staging / "database")
        paths = sorted(path for (path,) in connection.execute(_PATHS))
    keys = [path for path in paths if storage.is_key(path) and storage.fits(path)]
    moved = {path: key for path in paths if path.startswith("/") and (key := storage.key_of(Path(path)))}
    moved = {path: key for path, key in moved.items() if fits(f"objects/{key}")}
    outside = [path for path in paths if path.startswith("/") and path not in moved]
    return Picture(found, tables, sorted({*keys, *moved.values()}), outside, moved, [])


def _keep(key: str, place: Path, held: ExitStack) -> bool:
    """Afterwards the object lies at `place`, whatever becomes of it in the storage; False when it is not there."""
    try:
        source = held.enter_context(storage.using())(key)
        for file in sorted(source.rglob("*")) if source.is_dir() else (source,):
            if file.is_file():
                to = place / file.relative_to(source) if file != source else place
                to.parent.mkdir(parents=True, exist_ok=True)
                _link(file.resolve(), to)
    except (storage.ObjectMissing, FileNotFoundError):
        storage.remove(place)
        return False
    return place.exists()


def _link(source: Path, target: Path) -> None:
    """A second name costs nothing; where a file system has none, a copy."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except FileExistsError:  # a folder inside another that was registered too
        return
    except OSError:
        shutil.copyfile(source, target)


def _files(staging: Path, picture: Picture) -> Iterator[tuple[str, Path]]:
    for table in picture.tables:
        yield f"database/{table}.copy.gz", staging / "database" / f"{table}.copy.gz"
    objects = staging / "objects"
    for path in sorted(objects.rglob("*")):
        if path.is_file():
            yield f"objects/{path.relative_to(objects).as_posix()}", path


def _write(out: IO[bytes], files: dict[str, Path], picture: Picture, tell: Told, *, rows_only: bool) -> Manifest:
    sizes = {name: path.stat().st_size for name, path in files.items()}
    total, done, members = sum(sizes.values()), 0, {}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, path in files.items():
            with path.open("rb") as file:
                members[name] = _add(archive, name, sizes[name], Hashing(file))
            done += sizes[name]
            tell(done, total)
        manifest = Manifest(
            version=VERSION,
            program=version("plumbline"),
            revision=picture.revision,
            made_at=datetime.now(UTC),
            tables=picture.tables,
            members=members,
            objects=picture.keys,
            missing=picture.missing,
            outside=picture.outside,
            moved=picture.moved,
            rows_only=rows_only,
            secrets=SECRET in files,
        )
        text = manifest.model_dump_json(indent=1).encode()
        _add(archive, MANIFEST, len(text), Hashing(BytesIO(text)))
    out.flush()
    os.fsync(out.fileno())
    return manifest


class Hashing:
    """A file that is hashed while it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def read(self, n: int = -1) -> bytes:
        block: bytes = self.file.read(n)
        self.digest.update(block)
        return block


def _add(archive: tarfile.TarFile, name: str, size: int, file: Hashing) -> Member:
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, 0o600
    archive.addfile(header, file)
    return Member(size=size, sha256=file.digest.hexdigest())
