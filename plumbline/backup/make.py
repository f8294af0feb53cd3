"""Making an archive while the program runs: rows in one transaction, then the objects that they name."""

import errno
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
from plumbline.backup.manifest import MANIFEST, SECRET, VERSION, Manifest, Member, Table
from plumbline.services import Trouble

Told = Callable[[int, int], None]
TRIES = 3
_PATHS = """
SELECT path FROM snapshots UNION SELECT path FROM checkpoints WHERE path NOT LIKE '%://%'
UNION SELECT 'uploads/' || regexp_replace(u.path, '^.*/', '') FROM uploads u WHERE u.path !~ '://'
AND NOT EXISTS (SELECT FROM imports i WHERE i.upload_id = u.id AND i.state = 'succeeded')
"""


class Picture(NamedTuple):
    """The database at one moment, as files, and what it names."""

    revision: str
    tables: dict[str, Table]
    keys: list[str]
    outside: list[str]
    missing: list[str]


def make(settings: Settings, target: Path, *, secrets: bool, tell: Told) -> Manifest:
    """Afterwards `target` is an archive of all that the program holds; it is there whole or not at all."""
    if target.exists():
        raise Trouble(f"{target} exists already. Name another file.")
    url = settings.database_url
    assert url is not None  # noqa: S101  (borrowed)
    part = target.with_name(f".{target.name}.part")
    try:
        with ExitStack() as held, _staging(settings) as staging:
            picture = _picture(url, staging, held)
            files = dict(_files(staging, picture))
            if secrets and (key := settings.data / SECRET).is_file():
                files[SECRET] = key
            manifest = _write(part, files, picture, tell)
        part.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Trouble(f"The disk is full: {target} was not written. Free some space, or name another.") from error
        raise
    finally:
        part.unlink(missing_ok=True)
    return manifest


@contextmanager
def _staging(settings: Settings) -> Iterator[Path]:
    """A folder beside the objects, for links to them; one backup at a time, and what a killed one left is removed."""
    root = Path(settings.storage) if settings.storage and "://" not in settings.storage else settings.data
    folder = root / ".backup"
    folder.mkdir(mode=0o700, exist_ok=True)
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
        for name in ("database", "objects"):
            storage.remove(staging / name)
            (staging / name).mkdir()
        with database.connect(url) as connection:
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            found = database.revision(connection)
            if found is None:
                raise Trouble("The database has no schema of Plumbline: there is nothing to back up.")
            tables = database.dump(connection, staging / "database")
            paths = sorted(path for (path,) in connection.execute(_PATHS))
        keys = [path for path in paths if storage.is_key(path) and storage.fits(path)]
        missing = [key for key in keys if not _keep(key, staging / "objects" / key, held)]
        outside = [path for path in paths if path.startswith("/")]
        picture = Picture(found, tables, [key for key in keys if key not in missing], outside, missing)
        if missing in ([], before):
            break
        before = missing
    return picture


def _keep(key: str, place: Path, held: ExitStack) -> bool:
    """Afterwards the object lies at `place`, whatever becomes of it in the storage; False when it is not there."""
    try:
        source = held.enter_context(storage.using())(key)
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place, copy_function=_link)
        else:
            _link(source, place)
    except (storage.ObjectMissing, FileNotFoundError, shutil.Error):
        storage.remove(place)
        return False
    return True


def _link(source: Path | str, target: Path | str) -> None:
    """A second name costs nothing; where a file system has none, a copy."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def _files(staging: Path, picture: Picture) -> Iterator[tuple[str, Path]]:
    for table in picture.tables:
        yield f"database/{table}.copy.gz", staging / "database" / f"{table}.copy.gz"
    objects = staging / "objects"
    for path in sorted(objects.rglob("*")):
        if path.is_file():
            yield f"objects/{path.relative_to(objects).as_posix()}", path


def _write(part: Path, files: dict[str, Path], picture: Picture, tell: Told) -> Manifest:
    sizes = {name: path.stat().st_size for name, path in files.items()}
    total, done, members = sum(sizes.values()), 0, {}
    with part.open("xb") as out:
        part.chmod(0o600)
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
