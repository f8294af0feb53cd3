"""Bringing an archive back: into an empty data folder and an empty database, whole or not at all.

All is made ready in `.restoring` of the folder, which `plumbline up` refuses to run on; moving it to its places is the
last thing. A named database is marked meanwhile. A restore that was cut off is simply asked for again.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DataError, IntegrityError

from backend import storage
from backend.db import known, make_engine, migrate, newest
from backend.errors import AppError
from backend.settings import Settings
from plumbline.backup import read
from plumbline.backup.filling import filled
from plumbline.backup.going_back import go_back
from plumbline.backup.manifest import SECRET, ArchiveRefused, Manifest, NotEmpty, room
from plumbline.embedded import RESTORING, FolderLock, create_data_folder
from plumbline.processes import clear_orphans
from plumbline.servers import Postgres

OWN = {"lock", "logs", RESTORING, "lost+found"}
BROUGHT = ("postgres", "snapshots", "checkpoints", "runs", "uploads", SECRET)


def restore(archive: Path, settings: Settings, tell: read.Told) -> Manifest:
    """Afterwards the data folder and the database hold what `archive` held, in the newest schema.

    An archive of rows alone leads back to the database before an upgrade instead, in its old schema.  Raises Trouble.
    """
    data = settings.data.absolute()
    create_data_folder(data)
    lock = FolderLock(data)
    lock.take()
    try:
        with read.opened(archive) as (_, _members, manifest):
            if not known(manifest.revision):
                raise ArchiveRefused(
                    f"The archive has schema {manifest.revision}, which this Plumbline does not know (its own is "
                    f"{newest()}). Restore it with version {manifest.program} or a newer one."
                )
        with room(f"Nothing was restored into {data}: free some space, then run the same again."):
            return go_back(archive, settings, tell) if manifest.rows_only else _into_empty(archive, settings, tell)
    finally:
        lock.drop()


def _into_empty(archive: Path, settings: Settings, tell: read.Told) -> Manifest:
    data = settings.data.absolute()
    _clear_unfinished(data)
    if found := sorted(path.name for path in data.iterdir() if path.name not in OWN):
        raise NotEmpty(f"{data} is not empty (it holds {', '.join(found[:5])}). Restore into an empty folder.")
    draft = data / RESTORING
    draft.mkdir(mode=0o700)
    try:
        return _restore(archive, settings, draft, tell)
    except BaseException:
        _clear_unfinished(data)
        raise


def _clear_unfinished(data: Path) -> None:
    """Remove what a restore that was cut off left: it began in an empty folder, so all of this was its own."""
    draft = data / RESTORING
    if draft.exists():
        clear_orphans(draft / "postgres", Postgres.program, *Postgres.steps)
        for name in BROUGHT:
            storage.remove(data / name)
        storage.remove(draft)


def _restore(archive: Path, settings: Settings, draft: Path, tell: read.Told) -> Manifest:
    manifest = read.unpack(archive, draft, tell)
    with filled(settings, draft, manifest) as url:
        try:
            migrate(url)
        except (DataError, IntegrityError) as error:
            raise ArchiveRefused("The archive's rows cannot be upgraded. Nothing was restored.") from error
        with _placed(manifest, draft):
            _follow(url, manifest)
    for name in ("postgres", SECRET):
        if (draft / name).exists():
            (draft / name).rename(draft.parent / name)
    shutil.rmtree(draft)
    return manifest


@contextmanager
def _placed(manifest: Manifest, draft: Path) -> Iterator[None]:
    """Afterwards the objects lie in the storage; none that was not there before when anything fails."""
    placed = []
    try:
        for key in manifest.objects:
            new = not storage.exists(key)
            storage.put(draft / "objects" / key, key, move=True)
            placed += [key] if new else []
        yield
    except BaseException:
        for key in placed:
            with suppress(AppError, OSError):  # what cannot be removed now is in nobody's way
                storage.delete(key)
        raise


def _follow(url: str, manifest: Manifest) -> None:
    """Folders that were registered inside the old storage are named by their keys, wherever the new one is."""
    engine = make_engine(url)
    with engine.begin() as connection:
        for path, key in manifest.moved.items():
            moved = {"path": path, "key": key}
            connection.execute(text("UPDATE checkpoints SET path = :key WHERE path = :path"), moved)
    engine.dispose()
