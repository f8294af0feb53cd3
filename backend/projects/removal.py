"""Removing deleted projects: once nothing works in them any more, their files go, then their rows.

Files first: whatever breaks off on the way is tried again by the next sweep, and no file outlives the row that names
it. Folders that somebody registered as checkpoints are theirs and stay.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from backend import storage
from backend.checkpoints.models import Checkpoint
from backend.datasets.models import Snapshot, Upload
from backend.exports.models import Export
from backend.projects.models import Project
from backend.projects.service import stop_all, work_tables
from backend.runs.models import Run
from backend.settings import Settings, get_settings
from backend.work import ENDED

log = structlog.get_logger()


def sweep(session: Session) -> int:
    """Remove every deleted project in which nothing works any more; returns how many those were."""
    deleted = select(Project).where(Project.deleted_at.is_not(None)).with_for_update(skip_locked=True)
    removed = 0
    for project in session.scalars(deleted).all():
        stop_all(session, project)
        session.flush()
        if _busy(session, project):
            continue
        for key in _keys(session, project):
            storage.delete(key)
        for path in _paths(session, project, get_settings()):
            _remove(path)
        session.execute(delete(Project).where(Project.id == project.id))
        log.info("deleted project removed", project=str(project.id))
        removed += 1
    return removed


def _busy(session: Session, project: Project) -> bool:
    for table in work_tables():
        own = table.project_id == project.id, table.state.not_in(ENDED)  # type: ignore[attr-defined]
        if session.scalar(select(func.count()).select_from(table).where(*own)):
            return True
    return False


def _keys(session: Session, project: Project) -> Iterator[str]:
    """What lies in the storage for this project alone: equal snapshots of two projects are one folder."""
    for path, owner in ((Snapshot.path, Snapshot.project_id), (Checkpoint.path, Checkpoint.project_id)):
        others = select(path).where(owner != project.id)
        for key in session.scalars(select(path).where(owner == project.id, path.not_in(others)).distinct()):
            if storage.is_key(key):
                yield key
    for file in session.scalars(select(Upload.path).where(Upload.project_id == project.id)):
        key = f"uploads/{Path(file).name}"  # what was read where it lay, on the server or a hub, has nothing there
        if storage.fits(key):
            yield key
    yield from _folders(session, project)


def _paths(session: Session, project: Project, settings: Settings) -> Iterator[Path]:
    """What lies in this machine's data folder."""
    for folder in _folders(session, project):
        yield settings.data / folder


def _folders(session: Session, project: Project) -> Iterator[str]:
    """The folders that runs, checkpoints and exports have to themselves, `runs/<id>`."""
    for table in (Run, Checkpoint, Export):
        for row_id in session.scalars(select(table.id).where(table.project_id == project.id)):
            yield f"{table.__tablename__}/{row_id}"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
