"""Bringing an archive back: into an empty data folder and an empty database, whole or not at all.

All is made ready in `.restoring` of the folder, which `plumbline up` refuses to run on; moving it to its places is the
last thing. A restore that was cut off is simply asked for again.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend import storage
from backend.settings import Settings, get_settings
from plumbline.backup import database, read
from plumbline.backup.manifest import SECRET, ArchiveRefused, Manifest
from plumbline.embedded import RESTORING, Embedded, FolderLock, create_data_folder
from plumbline.services import Trouble

OWN = {"lock", "logs", RESTORING, "lost+found"}
BROUGHT = ("postgres", "snapshots", "checkpoints", "runs", "uploads", SECRET)


class NotEmpty(Trouble):
    """There is something that a restore would write over."""


def restore(archive: Path, settings: Settings, tell: read.Told) -> Manifest:
    """Afterwards the data folder and the database hold what `archive` held, in the newest schema."""
    data = settings.data.absolute()
    create_data_folder(data)
    lock = FolderLock(data)
    lock.take()
    try:
        _clear_unfinished(data)
        if found := sorted(path.name for path in data.iterdir() if path.name not in OWN):
            raise NotEmpty(f"{data} is not empty (it holds {', '.join(found[:5])}). Restore into an empty folder.")
        with read.opened(archive) as (_, _members, manifest):
            if not database.known(manifest.revision):
                raise ArchiveRefused(
                    f"The archive has schema {manifest.revision}, which this Plumbline does not know. "
                    f"Restore it with version {manifest.program} or a newer one."
                )
        draft = data / RESTORING
        draft.mkdir(mode=0o700)
        try:
            return _restore(archive, settings, draft, tell)
        except BaseException:
            _clear_unfinished(data)
            raise
    finally:
        lock.drop()


def _clear_unfinished(data: Path) -> None:
    """Remove what a restore that was cut off left: it began in an empty folder, so all of this was its own."""
    if (data / RESTORING).exists():
        for name in BROUGHT:
            storage.remove(data / name)
        storage.remove(data / RESTORING)


def _restore(archive: Path, settings: Settings, draft: Path, tell: read.Told) -> Manifest:
    manifest = read.unpack(archive, draft, tell)
    with _database(settings, draft) as url:
        try:
            database.upgrade(url, manifest.revision)
            with database.connect(url) as connection:
                database.load(connection, draft / "database", manifest.tables)
            database.upgrade(url, "head")
            _place_objects(manifest, draft)
        except BaseException:
            with database.connect(url) as connection:
                database.clear(connection)
            raise
    for name in ("postgres", SECRET):
        if (draft / name).exists():
            (draft / name).rename(draft.parent / name)
    shutil.rmtree(draft)
    return manifest


def _place_objects(manifest: Manifest, draft: Path) -> None:
    for key in manifest.objects:
        storage.put(draft / "objects" / key, key, move=True)


@contextmanager
def _database(settings: Settings, draft: Path) -> Iterator[str]:
    """The address of an empty database: the named one, or a new private one in the draft."""
    if settings.database_url is None:
        with Embedded(draft, valkey=False) as servers:
            yield servers.database_url
        return
    with database.connect(settings.database_url) as connection:
        if not database.empty(connection):
            raise NotEmpty("The database that DATABASE_URL names holds rows. Restore into an empty one.")
        database.clear(connection)
    yield get_settings().database_url or ""
