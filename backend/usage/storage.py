"""What projects keep in the storage: adding up sizes that are in rows, and measuring what has none yet.

Objects never change, so each is measured once, by the sweep; no request walks through a storage.
"""

import shutil
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Select, cast, func, null, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from backend import storage
from backend.checkpoints.models import Checkpoint
from backend.datasets.models import Snapshot, Upload
from backend.exports.models import Export
from backend.projects.models import Project
from backend.settings import Settings
from backend.storage import ObjectMissing, StorageTrouble
from backend.usage.schemas import KeptOut, ProjectKeepsOut, StorageKind
from backend.work import State

AT_ONCE = 50
REMEMBERED_SECONDS = 600.0
KINDS: tuple[StorageKind, ...] = ("checkpoints", "snapshots", "exports", "uploads")


class Kept(NamedTuple):
    """Objects of one kind in one project."""

    project_id: uuid.UUID
    kind: StorageKind
    number: int
    bytes: int
    unmeasured: int


def in_storage(path: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Whether a row's path is a key: neither somebody's folder, nor an endpoint, nor what comes with the program."""
    return ~path.startswith("/") & ~path.startswith(storage.PACKAGED) & ~path.contains("://")


def kept(session: Session, project_id: uuid.UUID | None) -> Iterator[Kept]:
    """What a project (None: each of all) keeps, by kind. Equal objects of one project count once, of two in each."""
    checkpoint = Checkpoint.project_id, Checkpoint.path, Checkpoint.bytes
    snapshot = Snapshot.project_id, Snapshot.path, Snapshot.bytes
    export = Export.project_id, cast(Export.id, Snapshot.path.type), Export.bytes
    upload = Upload.project_id, Upload.path, Upload.size
    queries: dict[StorageKind, Select[uuid.UUID, str, int | None]] = {
        "checkpoints": select(*checkpoint).where(in_storage(Checkpoint.path), Checkpoint.removed_at.is_(None)),
        "snapshots": select(*snapshot).where(in_storage(Snapshot.path)),
        "exports": select(*export).where(Export.state == State.succeeded),
        "uploads": select(*upload).where(Upload.removed_at.is_(None), Upload.origin["kind"].astext == "file"),
    }
    for kind, query in queries.items():
        found = (query if project_id is None else query.where(query.selected_columns[0] == project_id)).distinct()
        rows = found.subquery()
        owner, _, size = rows.c
        sums = select(owner, func.count(), cast(func.coalesce(func.sum(size), 0), BigInteger), _without(size))
        for row in session.execute(sums.group_by(owner)):
            yield Kept(row[0], kind, *row[1:])


def _without(size: ColumnElement[int]) -> ColumnElement[int]:
    return func.count().filter(size.is_(null()))


def of_project(session: Session, project: Project) -> ProjectKeepsOut:
    """What one project keeps."""
    return _out(project, {one.kind: one for one in kept(session, project.id)})


def of_all(session: Session) -> list[ProjectKeepsOut]:
    """What every project keeps, the most first."""
    found: dict[uuid.UUID, dict[StorageKind, Kept]] = defaultdict(dict)
    for one in kept(session, None):
        found[one.project_id][one.kind] = one
    projects = session.scalars(select(Project).where(Project.deleted_at.is_(None)))
    rows = [_out(project, found[project.id]) for project in projects]
    return sorted(rows, key=lambda one: (-one.bytes, one.name))


def _out(project: Project, found: dict[StorageKind, Kept]) -> ProjectKeepsOut:
    kinds = [found.get(kind, Kept(project.id, kind, 0, 0, 0)) for kind in KINDS]
    return ProjectKeepsOut(
        id=project.id,
        name=project.name,
        bytes=sum(one.bytes for one in kinds),
        kinds=[KeptOut(kind=one.kind, count=one.number, bytes=one.bytes, unmeasured=one.unmeasured) for one in kinds],
    )


class Here(NamedTuple):
    """Copies of objects on this machine, and the disk of its data folder."""

    cache_bytes: int
    disk_bytes: int
    free_bytes: int


def this_machine(settings: Settings) -> Here:
    """What this machine has; its copies are added up anew every ten minutes at the most."""
    disk = shutil.disk_usage(settings.data)
    return Here(_cached(settings.data / "cache", int(time.monotonic() // REMEMBERED_SECONDS)), disk.total, disk.free)


@lru_cache(maxsize=1)
def _cached(folder: Path, _: int) -> int:
    """Bytes of the copies in a cache, which another process may be removing."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.lstat().st_blocks * 512
    return total


def measure(session: Session) -> int:
    """Write down the sizes of some objects that have none yet; returns how many. What is gone has no bytes."""
    weights = select(Checkpoint).where(
        Checkpoint.bytes.is_(None), Checkpoint.removed_at.is_(None), in_storage(Checkpoint.path)
    )
    frozen = select(Snapshot).where(Snapshot.bytes.is_(None), in_storage(Snapshot.path))
    # Locked so that others may go on referring to the rows.
    rows: list[Checkpoint | Snapshot] = [
        *session.scalars(weights.limit(AT_ONCE).with_for_update(skip_locked=True, key_share=True)),
        *session.scalars(frozen.limit(AT_ONCE).with_for_update(skip_locked=True, key_share=True)),
    ]
    for done, row in enumerate(rows):
        try:
            row.bytes = storage.size(row.path) if storage.fits(row.path) else 0
        except ObjectMissing:
            row.bytes = 0
        except StorageTrouble:
            return done  # it does not answer now
    return len(rows)
