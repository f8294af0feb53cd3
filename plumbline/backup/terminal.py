"""`plumbline backup` and `plumbline restore` in the terminal, with a progress bar."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from backend.db import newest
from backend.settings import get_settings
from plumbline.backup import read
from plumbline.backup.make import Told, make
from plumbline.backup.manifest import Manifest
from plumbline.backup.restore import restore
from plumbline.services import borrowed

console = Console(highlight=False)


@contextmanager
def _bar(what: str) -> Iterator[Told]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


def back_up(target: Path, *, secrets: bool) -> None:
    """Make an archive and say what is in it. Exports and views are not: they can be made again."""
    with borrowed(get_settings()), _bar("Backing up") as tell:
        manifest = make(get_settings(), target, secrets=secrets, tell=tell)
    _say(manifest, f"{target} holds")
    if manifest.secrets:
        console.print("The key of stored tokens is in it: keep it where nobody else reads it.")
    elif get_settings().secret_key is not None:
        console.print("The key of stored tokens is not in it: keep PLUMBLINE_SECRET_KEY as well.")
    else:
        console.print("The key of stored tokens is not in it: keep secret.key as well, or back up --with-secrets.")


def verify(archive: Path) -> None:
    """Read an archive whole; raises ArchiveRefused when anything in it is not as it should be."""
    with _bar("Reading") as tell:
        manifest = read.unpack(archive, None, tell)
    _say(manifest, f"{archive} is whole. It holds")


def bring_back(archive: Path) -> None:
    """Restore an archive and say what came back."""
    with _bar("Restoring") as tell:
        manifest = restore(archive, get_settings(), tell)
    if manifest.rows_only:
        console.print(f"The database is as it was before the upgrade, schema {manifest.revision}.")
        console.print("Start the version you had then: this one would upgrade it again.")
        return
    _say(manifest, f"{get_settings().data} now holds")
    if manifest.revision != newest():
        console.print(f"It came with schema {manifest.revision} and was upgraded to {newest()}.")
    if not manifest.secrets and get_settings().secret_key is None:
        console.print("The archive has no key of stored tokens: bring the old secret.key here, or set tokens again.")


def _say(manifest: Manifest, begin: str) -> None:
    rows = sum(table.rows for table in manifest.tables.values())
    console.print(f"{begin} {rows:,} rows and {len(manifest.objects):,} objects, schema {manifest.revision}.")
    for title, paths in (("Already missing", manifest.missing), ("Outside, not in the archive", manifest.outside)):
        if paths:
            console.print(f"{title}: {', '.join(paths[:10])}", markup=False)
