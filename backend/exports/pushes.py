"""Uploads of exports to a hub."""

import uuid
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import paging, queue, work
from backend.accounts.models import User
from backend.errors import NotFound
from backend.exports import service
from backend.exports.models import Export, Push
from backend.exports.schemas import PushIn
from backend.offline import require_hub
from backend.projects.models import Project
from backend.secrets import service as secrets

AGAIN = "Upload it again."


def request(session: Session, project: Project, user: User, export_id: uuid.UUID, body: PushIn) -> Push:
    """Queue an upload; the bell rings after the commit.

    Raises NotFound, Offline, FilesGone, SecretMissing, SecretNotForThat, AlreadyUnderWay.
    """
    export = service.find(session, project, export_id, lock=True)
    require_hub()
    service.require_files(export)
    secrets.require(session, project.id, body.secret)
    same = select(Push).where(
        Push.project_id == project.id,
        Push.repo_id == body.repo_id,
        Push.state.in_((work.State.queued, *work.ACTIVE)),
    )
    if session.scalars(same).first() is not None:
        raise service.AlreadyUnderWay(
            f"Something is being uploaded to {body.repo_id} already.", field="repo_id", remedy="Wait for it."
        )
    push = Push(
        project_id=project.id,
        checkpoint_id=export.checkpoint_id,
        export_id=export.id,
        total=export.bytes,
        created_by=user.id,
        **body.model_dump(),
    )
    session.add(push)
    session.flush()
    queue.ring(session, "push")
    return push


def find(session: Session, project: Project, push_id: uuid.UUID, *, lock: bool = False) -> Push:
    """The upload, if it is this project's.  Raises NotFound."""
    found = session.get(Push, push_id, with_for_update=lock or None)
    if found is None or found.project_id != project.id:
        raise NotFound.of("upload")
    return found


def page(
    session: Session, project: Project, cursor: str | None, limit: int, checkpoint_id: uuid.UUID | None = None
) -> tuple[Sequence[Push], str | None]:
    """Uploads, newest first, and the cursor of the next page."""
    query = select(Push).where(Push.project_id == project.id)
    if checkpoint_id is not None:
        query = query.where(Push.checkpoint_id == checkpoint_id)
    return paging.page(session, query, Push.id, cursor, limit)


def cancel(session: Session, project: Project, push_id: uuid.UUID) -> Push:
    """Ask an upload to stop.  Raises AlreadyEnded."""
    push = find(session, project, push_id, lock=True)
    work.request_stop(push)
    return push


def export_of(session: Session, push: Push) -> Export | None:
    """What is uploaded; None when it was deleted."""
    return session.get(Export, push.export_id) if push.export_id else None


def sweep(session: Session) -> int:
    """End uploads whose worker is gone; returns how many."""
    reason = "The worker that uploaded it was killed. The hub shows nothing of it."
    return len(work.end_silent(session, Push, reason, AGAIN))
