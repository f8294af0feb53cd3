"""Checkpoints: registering, finding, listing, and what a run leaves behind."""

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from backend import queue, work
from backend.accounts.models import User
from backend.checkpoints import folder as folders
from backend.checkpoints import roots
from backend.checkpoints.folder import Facts, Unfit
from backend.checkpoints.models import Checkpoint, Fetch, Source
from backend.checkpoints.schemas import CheckpointIn, CheckpointOut, FetchIn, FolderOut
from backend.errors import Conflict, Invalid, NotFound
from backend.evaluations.models import Match
from backend.projects.models import Project
from backend.runs.models import Run
from backend.settings import get_settings

TOY_NAME = "Toy world base"
AGAIN = "Start the download again."


class UnfitFolder(Invalid):
    title = "Not a usable checkpoint"


class WeightsGone(Invalid):
    title = "Weights gone"


class AlreadyRegistered(Conflict):
    title = "Already registered"


def find(session: Session, project: Project, checkpoint_id: uuid.UUID) -> Checkpoint:
    """The checkpoint, if it is this project's.  Raises NotFound."""
    found = session.get(Checkpoint, checkpoint_id)
    if found is None or found.project_id != project.id:
        raise NotFound.of("checkpoint")
    return found


def page(
    session: Session, project: Project, cursor: uuid.UUID | None, limit: int, run_id: uuid.UUID | None = None
) -> tuple[Sequence[Checkpoint], str | None]:
    """Checkpoints, newest first, and the cursor of the next page."""
    query = select(Checkpoint).where(Checkpoint.project_id == project.id).order_by(Checkpoint.id.desc())
    if cursor is not None:
        query = query.where(Checkpoint.id < cursor)
    if run_id is not None:
        query = query.where(Checkpoint.run_id == run_id)
    rows = session.scalars(query.limit(limit + 1)).all()
    return rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None


def out(checkpoint: Checkpoint) -> CheckpointOut:
    """What people see of a checkpoint; whether its weights are still there is looked up now."""
    fields = {name: getattr(checkpoint, name) for name in CheckpointOut.model_fields if name != "available"}
    return CheckpointOut(**fields, available=available(checkpoint))


def available(checkpoint: Checkpoint) -> bool:
    """Whether the folder still holds what makes it a checkpoint."""
    return folders.looks_like_checkpoint(Path(checkpoint.path))


def require_weights(checkpoint: Checkpoint, field: str) -> None:
    """Raises WeightsGone, at the field that chose the checkpoint, when its folder no longer holds it."""
    if not available(checkpoint):
        raise WeightsGone(
            f"The weights of “{checkpoint.name}” are no longer in their folder.",
            field=field,
            remedy="Choose another checkpoint, or put the folder back.",
        )


def register_folder(
    session: Session, project: Project, user: User, body: CheckpointIn, allowed: Sequence[Path]
) -> Checkpoint:
    """Register a folder inside an allowed root, in place.  Raises OutsideRoots, UnfitFolder, AlreadyRegistered."""
    folder = roots.resolve(allowed, body.folder)
    try:
        facts = folders.read_outside(folder)
    except Unfit as error:
        raise UnfitFolder(error.reason, field="folder", remedy=error.remedy) from error
    known = _at(session, project, folder)
    if known is not None:
        raise AlreadyRegistered(
            f"This folder is registered already, as “{known.name}”.", field="folder", checkpoint_id=str(known.id)
        )
    return _add(session, project, body.name or folder.name, folder, facts, source=Source.folder, created_by=user.id)


def register_toy(session: Session, project: Project, folder: Path) -> Checkpoint:
    """The base checkpoint of the toy world, registered once; always marked as a toy."""
    known = _at(session, project, folder.resolve())
    if known is not None:
        return known
    facts = folders.read_outside(folder.resolve())
    return _add(session, project, TOY_NAME, folder.resolve(), facts, source=Source.toy, toy=True)


def register_fetched(session: Session, fetch: Fetch, folder: Path, facts: Facts) -> Checkpoint:
    """The checkpoint that a download has become."""
    project = session.get_one(Project, fetch.project_id)
    checkpoint = _add(
        session,
        project,
        fetch.name,
        folder,
        facts,
        source=Source.hub,
        hub_id=fetch.hub_id,
        revision=fetch.commit,
        created_by=fetch.created_by,
    )
    fetch.checkpoint_id = checkpoint.id
    return checkpoint


def add_product(
    session: Session, *, run_id: uuid.UUID, run_name: str, parent: Checkpoint, step: int, folder: Path, facts: Facts
) -> Checkpoint:
    """The checkpoint that a run wrote at `step`; a second call for the same step gives the first one's row."""
    values = {
        "project_id": parent.project_id,
        "name": f"{run_name} · step {step}",
        "source": Source.run,
        "path": str(folder),
        "run_id": run_id,
        "parent_id": parent.id,
        "step": step,
        "adapter": facts.adapter,
        "architecture": facts.architecture,
        "parameters": facts.parameters,
        "max_tokens": facts.max_tokens,
        "toy": parent.toy,
        "created_by": None,
    }
    session.execute(insert(Checkpoint).values(values).on_conflict_do_nothing())
    return session.scalars(select(Checkpoint).where(Checkpoint.run_id == run_id, Checkpoint.step == step)).one()


def forget_product(session: Session, run_id: uuid.UUID, folder: Path) -> None:
    """Delete the row of a checkpoint whose folder its run has deleted; where something refers to it, it stays."""
    found = session.scalars(
        select(Checkpoint).where(Checkpoint.run_id == run_id, Checkpoint.path == str(folder)).with_for_update()
    ).first()
    # Locked first: whoever was about to refer to it has done so by now, or will find it gone.
    if found is not None and not available(found) and not session.scalar(select(_used(found.id))):
        session.delete(found)
        session.flush()


def _used(checkpoint_id: uuid.UUID) -> ColumnElement[bool]:
    return or_(
        exists().where(Checkpoint.parent_id == checkpoint_id),
        exists().where(or_(Run.checkpoint_id == checkpoint_id, Run.reference_id == checkpoint_id)),
        exists().where(or_(Match.checkpoint_a == checkpoint_id, Match.checkpoint_b == checkpoint_id)),
    )


def list_folders(session: Session, project: Project, allowed: Sequence[Path]) -> list[FolderOut]:
    """What lies in the allowed roots: registered, fit to be registered, or unfit with the reason."""
    paths = select(Checkpoint.path, Checkpoint.id).where(Checkpoint.project_id == project.id)
    known: dict[str, uuid.UUID] = dict(session.execute(paths).all())
    return [_folder(folder, known.get(str(folder))) for folder in roots.candidates(allowed)]


def _folder(folder: Path, registered: uuid.UUID | None) -> FolderOut:
    reason = remedy = None
    if registered is None:
        try:
            folders.read_outside(folder)
        except Unfit as error:
            reason, remedy = error.reason, error.remedy
    return FolderOut(folder=str(folder), name=folder.name, registered=registered, reason=reason, remedy=remedy)


def request_fetch(session: Session, project: Project, user: User, body: FetchIn) -> Fetch:
    """Queue a download from the hub; the bell rings after the commit."""
    fetch = Fetch(
        project_id=project.id,
        name=body.name or body.hub_id.rpartition("/")[2],
        hub_id=body.hub_id,
        revision=body.revision,
        created_by=user.id,
    )
    session.add(fetch)
    session.flush()
    queue.ring(session, "fetch")
    return fetch


def find_fetch(session: Session, project: Project, fetch_id: uuid.UUID, *, lock: bool = False) -> Fetch:
    """The download, if it is this project's.  Raises NotFound."""
    found = session.get(Fetch, fetch_id, with_for_update=lock or None)
    if found is None or found.project_id != project.id:
        raise NotFound.of("download")
    return found


def fetches(session: Session, project: Project, limit: int) -> Sequence[Fetch]:
    """The newest downloads."""
    return session.scalars(
        select(Fetch).where(Fetch.project_id == project.id).order_by(Fetch.id.desc()).limit(limit)
    ).all()


def cancel_fetch(session: Session, project: Project, fetch_id: uuid.UUID) -> Fetch:
    """Ask a download to stop.  Raises AlreadyEnded."""
    fetch = find_fetch(session, project, fetch_id, lock=True)
    work.request_stop(fetch)
    return fetch


def arriving(fetch_id: uuid.UUID) -> tuple[Path, Path]:
    """The hidden folder that a download fills, which nobody can register yet, and the file of what it says."""
    root = get_settings().checkpoints.absolute()
    return root / f".arriving-{fetch_id}", root / f".arriving-{fetch_id}.log"


def sweep(session: Session) -> int:
    """End downloads whose worker is gone, and remove what had arrived; returns how many."""
    abandoned = work.silent(session, Fetch)
    for fetch in abandoned:
        work.finish(fetch, work.State.failed, "The worker that downloaded it was killed. Nothing was kept.", AGAIN)
        folder, said = arriving(fetch.id)
        shutil.rmtree(folder, ignore_errors=True)
        said.unlink(missing_ok=True)
    return len(abandoned)


def _at(session: Session, project: Project, folder: Path) -> Checkpoint | None:
    return session.scalars(
        select(Checkpoint).where(Checkpoint.project_id == project.id, Checkpoint.path == str(folder))
    ).first()


def _add(
    session: Session,
    project: Project,
    name: str,
    folder: Path,
    facts: Facts,
    *,
    source: Source,
    toy: bool = False,
    hub_id: str | None = None,
    revision: str | None = None,
    created_by: uuid.UUID | None = None,
) -> Checkpoint:
    checkpoint = Checkpoint(
        project_id=project.id,
        name=name,
        source=source,
        path=str(folder),
        hub_id=hub_id,
        revision=revision,
        adapter=facts.adapter,
        architecture=facts.architecture,
        parameters=facts.parameters,
        max_tokens=facts.max_tokens,
        toy=toy,
        created_by=created_by,
    )
    session.add(checkpoint)
    session.flush()
    return checkpoint
