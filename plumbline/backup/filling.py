"""Filling an empty database from an unpacked archive: the named one, or a new private one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.db import migrate
from backend.settings import Settings
from plumbline.backup import database
from plumbline.backup.manifest import Manifest
from plumbline.embedded import Embedded


@contextmanager
def filled(settings: Settings, draft: Path, manifest: Manifest) -> Iterator[str]:
    """The address of a database with the archive's schema and rows: the named one, which was empty and is empty again
    when anything fails, or a private one in `draft`.  Raises NotEmpty."""
    if settings.database_url is None:
        with Embedded(draft, valkey=False) as servers:
            _fill(servers.database_url, draft, manifest)
            yield servers.database_url
        return
    with database.connect(settings.database_url) as connection:
        database.begin(connection)
        try:
            _fill(settings.database_url, draft, manifest)
            yield settings.database_url
        except BaseException:
            database.clear(connection)
            database.end(connection)
            raise
        database.end(connection)


def _fill(url: str, draft: Path, manifest: Manifest) -> None:
    migrate(url, manifest.revision)
    with database.connect(url) as connection:
        database.load(connection, draft / "database", manifest.tables)
