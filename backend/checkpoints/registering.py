"""Registering folders that lie in an allowed root, and the list of those that can be."""

import uuid
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import storage
from backend.accounts.models import User
from backend.checkpoints import folder as folders
from backend.checkpoints import roots, service
from backend.checkpoints.folder import Unfit
from backend.checkpoints.models import Checkpoint, Source
from backend.checkpoints.schemas import CheckpointIn, FolderOut
from backend.errors import Conflict, Invalid
from backend.projects.models import Project


class UnfitFolder(Invalid):
    title = "Not a usable checkpoint"


class AlreadyRegistered(Conflict):
    title = "Already registered"


def refuse_known(session: Session, project: Project, path: str, field: str) -> None:
    """Raises AlreadyRegistered when the project has a checkpoint at `path`."""
    known = service.at(session, project, path)
    if known is not None:
        raise AlreadyRegistered(
            f"It is registered already, as “{known.name}”.", field=field, checkpoint_id=str(known.id)
        )


def register_folder(
    session: Session, project: Project, user: User, body: CheckpointIn, allowed: Sequence[Path]
) -> Checkpoint:
    """Register a folder inside an allowed root, in place.  Raises OutsideRoots, UnfitFolder, AlreadyRegistered."""
    folder = roots.resolve(allowed, body.folder, service.owns(session, project))
    try:
        facts = folders.read_outside(folder)
    except Unfit as error:
        raise UnfitFolder(error.reason, field="folder", remedy=error.remedy) from error
    for path in {str(folder), storage.key_of(folder) or str(folder)}:
        refuse_known(session, project, path, "folder")
    return service.add(
        session,
        project,
        body.name or folder.name,
        str(folder),
        facts,
        source=Source.folder,
        created_by=user.id,
        template=body.chat_template,
    )


def list_folders(session: Session, project: Project, allowed: Sequence[Path]) -> list[FolderOut]:
    """What lies in the allowed roots: registered, fit to be registered, or unfit with the reason; nothing that the
    program keeps for another project."""
    paths = select(Checkpoint.path, Checkpoint.id).where(Checkpoint.project_id == project.id)
    known = {
        storage.shown(path) if storage.is_key(path) else path: row_id for path, row_id in session.execute(paths).all()
    }
    found = roots.candidates(allowed, service.owns(session, project))
    return [_folder(folder, known.get(str(folder))) for folder in found]


def _folder(folder: Path, registered: uuid.UUID | None) -> FolderOut:
    reason = remedy = None
    template = True
    if registered is None:
        try:
            template = folders.read_outside(folder).template
        except Unfit as error:
            reason, remedy = error.reason, error.remedy
    return FolderOut(
        folder=str(folder),
        name=folder.name,
        registered=registered,
        chat_template=template,
        reason=reason,
        remedy=remedy,
    )
