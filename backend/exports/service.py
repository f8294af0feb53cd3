"""Exports: asking for one, finding, stopping, deleting; and sweeping up after a worker that died."""

import re
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from alignment.export import serving
from alignment.export.errors import NoAdapter
from alignment.export.plan import Plan, adapter_rank, plan, require_room
from alignment.training.errors import CheckpointRefused, DiskFull
from backend import paging, queue, storage, work
from backend.accounts.models import User
from backend.checkpoints import places
from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint, CheckpointKind, Source
from backend.errors import Conflict, Invalid, NoSpace, NotFound
from backend.exports import archive
from backend.exports.models import Export, ExportKind, Push
from backend.exports.schemas import CommandOut, ComparisonOut, ExportIn, ExportOut, FileOut
from backend.projects.models import Project
from backend.settings import get_settings

AGAIN = "Export it again."
CARD = "README.md"


class NotExportable(Invalid):
    title = "Cannot be exported"


class AlreadyUnderWay(Conflict):
    title = "Already under way"


class StillAtWork(Conflict):
    title = "Still at work"


class FilesGone(NotFound):
    title = "Files gone"


def request(session: Session, project: Project, user: User, body: ExportIn) -> Export:
    """Queue an export; the bell rings after the commit.

    Raises NotFound, WeightsGone, NoWeightsHere, TemplateMissing, NotExportable, NoSpace, AlreadyUnderWay.
    """
    checkpoint = checkpoints.find(session, project, body.checkpoint_id)
    order = _planned(session, checkpoint, body)
    same = select(Export).where(
        Export.checkpoint_id == checkpoint.id,
        Export.kind == body.kind,
        Export.dtype == body.dtype,
        Export.state.in_((work.State.queued, *work.ACTIVE)),
    )
    under_way = session.scalars(same).first()
    if under_way is not None:
        raise AlreadyUnderWay(
            "This very export is being made.", remedy="Wait for it, or cancel it.", export_id=str(under_way.id)
        )
    export = Export(
        project_id=project.id,
        checkpoint_id=checkpoint.id,
        name=slug(checkpoint.name) + ("-adapter" if body.kind is ExportKind.adapter else ""),
        kind=body.kind,
        dtype=body.dtype,
        base=base_name(session, checkpoint) if body.kind is ExportKind.adapter else None,
        rank=adapter_rank(order.checkpoint) if body.kind is ExportKind.adapter else None,
        total=order.bytes,
        files=[],
        comparison={},
        created_by=user.id,
    )
    session.add(export)
    session.flush()
    queue.ring(session, "export")
    return export


def _planned(session: Session, checkpoint: Checkpoint, body: ExportIn) -> Plan:
    if checkpoint.kind is CheckpointKind.reward_model:
        place = f" under {checkpoint.path}" if checkpoint.source is Source.run else ""
        raise NotExportable(
            f"“{checkpoint.name}” is a reward model: an export is compared with its checkpoint by the text that both "
            "write, and it writes none.",
            field="checkpoint_id",
            remedy=f"Its folder can be used as it is: whoever runs the server finds it in the storage{place}, and "
            "transformers loads it as a sequence classifier.",
        )
    checkpoints.require_trainable(checkpoint, "checkpoint_id")
    try:
        order = plan(places.outline(session, checkpoint), body.kind.value, body.dtype.value)
        making = folder_of_makings()
        making.mkdir(parents=True, exist_ok=True)
        require_room(making, order.bytes)
    except (CheckpointRefused, NoAdapter) as error:
        raise NotExportable(error.detail, field=error.field, remedy=error.remedy) from error
    except DiskFull as error:
        raise NoSpace(error.detail, remedy=error.remedy) from error
    return order


def slug(name: str) -> str:
    """A name for folders and commands, which no shell or file system chokes on."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-._").lower()[:80].rstrip("-._") or "checkpoint"


def base_name(session: Session, checkpoint: Checkpoint) -> str:
    """How others get an adapter's base: its hub id, or a folder named like it."""
    parent = session.get(Checkpoint, checkpoint.parent_id) if checkpoint.parent_id else None
    if parent is None:
        return "./base"
    return parent.hub_id or f"./{slug(parent.name)}"


def find(session: Session, project: Project, export_id: uuid.UUID, *, lock: bool = False) -> Export:
    """The export, if it is this project's.  Raises NotFound."""
    found = session.get(Export, export_id, with_for_update=lock or None)
    if found is None or found.project_id != project.id:
        raise NotFound.of("export")
    return found


def page(
    session: Session, project: Project, cursor: str | None, limit: int, checkpoint_id: uuid.UUID | None = None
) -> tuple[Sequence[Export], str | None]:
    """Exports, newest first, and the cursor of the next page."""
    query = select(Export).where(Export.project_id == project.id)
    if checkpoint_id is not None:
        query = query.where(Export.checkpoint_id == checkpoint_id)
    return paging.page(session, query, Export.id, cursor, limit)


def out(export: Export) -> ExportOut:
    """What people see of an export; whether its files are still there is looked up now."""
    computed = ("available", "archive_bytes", "commands", "comparison", "files")
    fields = {name: getattr(export, name) for name in ExportOut.model_fields if name not in computed}
    whole = export.state is work.State.succeeded
    return ExportOut(
        **fields,
        files=[FileOut.model_validate(file) for file in export.files],
        comparison=ComparisonOut.model_validate(export.comparison) if export.comparison else None,
        available=whole and storage.exists(key(export.id)),
        archive_bytes=archive.size(export.name, export.files) if whole else None,
        commands=[CommandOut(**command._asdict()) for command in commands(export, f"./{export.name}")] if whole else [],
    )


def commands(export: Export, place: str) -> list[serving.Command]:
    """How the export is used from a folder or a hub id."""
    template = any(file["name"] == "chat_template.jinja" for file in export.files)
    return serving.commands(export.kind.value, export.name, place, export.base, export.rank, template=template)


def cancel(session: Session, project: Project, export_id: uuid.UUID) -> Export:
    """Ask an export to stop.  Raises AlreadyEnded."""
    export = find(session, project, export_id, lock=True)
    work.request_stop(export)
    return export


def remove(session: Session, project: Project, export_id: uuid.UUID) -> None:
    """Delete an export and its files; what was uploaded to a hub stays there.  Raises NotFound, StillAtWork."""
    export = find(session, project, export_id, lock=True)
    if export.state not in work.ENDED:
        raise StillAtWork("It is still being made.", remedy="Cancel it first.")
    pushing = select(Push).where(Push.export_id == export.id, Push.state.in_((work.State.queued, *work.ACTIVE)))
    if session.scalars(pushing).first() is not None:
        raise StillAtWork("It is being uploaded.", remedy="Cancel the upload first, or wait for it.")
    # Files first: a row without files says so, but files without a row would lie there for ever.
    storage.delete(key(export.id))
    session.delete(export)
    session.flush()


def require_files(export: Export) -> None:
    """Raises FilesGone for an export that has none (yet, or any more)."""
    if export.state is not work.State.succeeded or not storage.exists(key(export.id)):
        raise FilesGone("This export has no files.", remedy=AGAIN)


def key(export_id: uuid.UUID) -> str:
    """Where in the storage an export lies."""
    return f"exports/{export_id}"


def folder_of_makings() -> Path:
    """The folder of this machine in which exports are made."""
    return get_settings().data.absolute() / "exports"


def making(export_id: uuid.UUID) -> Path:
    """The hidden folder that a worker fills: `files`, the order and what the process says."""
    return folder_of_makings() / f".making-{export_id}"


def sweep(session: Session) -> int:
    """End exports whose worker is gone, and remove what they had written; returns how many."""
    abandoned = work.end_silent(session, Export, "The worker that made it was killed. Nothing was kept.", AGAIN)
    for export in abandoned:
        shutil.rmtree(making(export.id), ignore_errors=True)
        storage.delete(key(export.id))
    return len(abandoned)


def clear(session: Session) -> None:
    """Remove what workers of this machine that were killed had written, of exports that another machine has swept."""
    for folder in folder_of_makings().glob(".making-*"):
        export = session.get(Export, uuid.UUID(folder.name.removeprefix(".making-")))
        if export is None or export.state in work.ENDED:
            shutil.rmtree(folder, ignore_errors=True)
