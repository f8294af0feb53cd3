"""Going back to the database as it was before an upgrade, from the copy of its rows that was made then.

Nothing is thrown away: a private database of now is set aside, and a named one is not touched, a new empty one being
asked for instead. The files of the data folder stay as they are; no upgrade changes them.
"""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from backend import storage
from backend.settings import Settings
from plumbline.backup import read
from plumbline.backup.filling import filled
from plumbline.backup.manifest import HalfRestored, Manifest
from plumbline.embedded import GOING_BACK, RESTORING
from plumbline.processes import clear_orphans
from plumbline.servers import Postgres


def go_back(archive: Path, settings: Settings, tell: read.Told) -> Manifest:
    """Afterwards the database has the rows and the schema that the archive has.  Raises Trouble."""
    data = settings.data.absolute()
    if (data / RESTORING).exists():
        raise HalfRestored(f"A restore into {data} was cut off. Run `plumbline restore` of that archive again first.")
    draft = data / GOING_BACK
    clear_orphans(draft / "postgres", Postgres.program, *Postgres.steps)
    storage.remove(draft)
    draft.mkdir(mode=0o700)
    try:
        manifest = read.unpack(archive, draft, tell)
        with filled(settings, draft, manifest):
            pass
    except BaseException:
        storage.remove(draft)
        raise
    if settings.database_url is None:
        _exchange(data, draft)
    shutil.rmtree(draft)
    return manifest


def _exchange(data: Path, draft: Path) -> None:
    """The new database takes the place of the old one. Cut off between the two, the draft says so, and going back again
    begins anew."""
    if (data / "postgres").exists():
        (data / "postgres").rename(data / f"postgres.aside-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    (draft / "postgres").rename(data / "postgres")
