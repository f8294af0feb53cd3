"""What nobody will come back for: unfinished parts that a killed program left, and what was kept for a week unused."""

import shutil
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete, exists, update
from sqlalchemy.orm import Session

from backend import storage
from backend.accounts.models import IdempotencyKey
from backend.datasets.models import Import, Upload
from backend.settings import Settings
from backend.work import ENDED, now

KEPT = timedelta(days=7)
OLD_SECONDS = 3600.0  # an upload that lives writes more often, a snapshot is done sooner


def remove(settings: Settings) -> int:
    """Remove unfinished uploads and snapshots that have not changed for an hour; returns how many."""
    found = [*settings.uploads.glob("*.part"), *settings.snapshots.glob(".writing-*")]
    old = [path for path in found if _age(path) > OLD_SECONDS]
    for path in old:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(old)


def _age(path: Path) -> float:
    """Seconds since the path, or anything directly in it, changed; 0 when it is gone by now."""
    try:
        times: list[float] = [inner.stat().st_mtime for inner in (path, *(path.iterdir() if path.is_dir() else ()))]
    except FileNotFoundError:
        return 0.0
    return time.time() - max(times)


def forget(session: Session) -> int:
    """Remove what nobody comes back for after a week: answers kept for requests sent twice, and uploads that no import
    has used, with their files; returns how many rows.

    The row of an upload that an import has used stays, since the import is listed under the file's name; its file goes
    with the import when that succeeds, and a week later when it does not.
    """
    old = now() - KEPT
    answers = session.scalars(
        delete(IdempotencyKey).where(IdempotencyKey.created_at < old).returning(IdempotencyKey.id)
    ).all()
    unused = ~exists().where(Import.upload_id == Upload.id)
    paths = session.scalars(delete(Upload).where(Upload.created_at < old, unused).returning(Upload.path)).all()
    recent = exists().where(Import.upload_id == Upload.id, Import.state.not_in(ENDED) | (Import.finished_at >= old))
    failed = update(Upload).where(Upload.created_at < old, Upload.removed_at.is_(None), ~recent)
    given_up = session.scalars(failed.values(removed_at=now()).returning(Upload.path)).all()
    for path in (*paths, *given_up):
        if path:
            storage.delete(f"uploads/{Path(path).name}")
    return len(answers) + len(paths) + len(given_up)
