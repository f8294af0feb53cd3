"""Downloads from a hub: asked for, watched, cancelled, taken up again where they stopped, and swept."""

import shutil
import uuid
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import paging, queue, work
from backend.accounts.models import User
from backend.audit import service as audit
from backend.checkpoints.hub import token_of_environment
from backend.checkpoints.models import Fetch
from backend.checkpoints.schemas import FetchIn, ResumeIn
from backend.errors import Conflict, NotFound
from backend.offline import require_hub
from backend.projects.models import Project
from backend.secrets import service as secrets
from backend.secrets.models import Secret, SecretKind
from backend.settings import get_settings

AGAIN = "Let the download go on; what has arrived is kept for a day."
MOST_ATTEMPTS = 5
KEPT = timedelta(days=1)


class NotStopped(Conflict):
    title = "Not stopped"


def request(session: Session, project: Project, user: User, body: FetchIn) -> Fetch:
    """Queue a download from the hub; the bell rings after the commit.  Raises Offline, SecretMissing."""
    require_hub("hub_id")
    if body.secret is not None:
        secrets.require(session, project.id, body.secret)
    fetch = Fetch(
        project_id=project.id,
        name=body.name or body.hub_id.rpartition("/")[2],
        hub_id=body.hub_id,
        revision=body.revision,
        secret=body.secret,
        template=body.chat_template,
        created_by=user.id,
    )
    session.add(fetch)
    session.flush()
    audit.record(session, user, project.id, "fetch", "checkpoint", fetch.id, {"hub_id": fetch.hub_id})
    queue.ring(session, "fetch")
    return fetch


def find(session: Session, project: Project, fetch_id: uuid.UUID, *, lock: bool = False) -> Fetch:
    """The download, if it is this project's.  Raises NotFound."""
    found = session.get(Fetch, fetch_id, with_for_update=lock or None)
    if found is None or found.project_id != project.id:
        raise NotFound.of("download")
    return found


def page(session: Session, project: Project, cursor: str | None, limit: int) -> tuple[Sequence[Fetch], str | None]:
    """Downloads, newest first, and the cursor of the next page."""
    return paging.page(session, select(Fetch).where(Fetch.project_id == project.id), Fetch.id, cursor, limit)


def cancel(session: Session, project: Project, fetch_id: uuid.UUID) -> Fetch:
    """Ask a download to stop.  Raises AlreadyEnded."""
    fetch = find(session, project, fetch_id, lock=True)
    work.request_stop(fetch)
    return fetch


def resume(session: Session, project: Project, fetch_id: uuid.UUID, body: ResumeIn) -> Fetch:
    """Queue a download that failed or was cancelled once more; what is still there of it is used.

    Raises Offline, NotStopped, SecretMissing.
    """
    fetch = find(session, project, fetch_id, lock=True)
    require_hub()
    if fetch.state not in (work.State.failed, work.State.cancelled):
        raise NotStopped(f"This download is {fetch.state}.", remedy="Only one that failed or was cancelled can go on.")
    if body.secret is not None:
        secrets.require(session, project.id, body.secret)
        fetch.secret = body.secret
    fetch.state, fetch.stop_requested, fetch.attempts = work.State.queued, False, 0
    fetch.reason = fetch.remedy = fetch.finished_at = None
    session.flush()
    queue.ring(session, "fetch")
    return fetch


def token(session: Session, project_id: uuid.UUID, secret: str | None, user: User | None = None) -> str | None:
    """The token to show the hub: the secret named, else the project's first one for the hub, else the environment's.

    Raises SecretMissing and what else keeps a secret from being used.
    """
    first = (
        select(Secret.name).where(Secret.project_id == project_id, Secret.kind == SecretKind.hub).order_by(Secret.name)
    )
    name = secret or session.scalars(first.limit(1)).first()
    return secrets.reveal(session, project_id, name, user=user) if name else token_of_environment()


def arriving(fetch_id: uuid.UUID) -> tuple[Path, Path]:
    """The hidden folder that a download fills, which nobody can register yet, and the file of what it says."""
    root = get_settings().checkpoints.absolute()
    return root / f".arriving-{fetch_id}", root / f".arriving-{fetch_id}.log"


def forget_arrived(fetch_id: uuid.UUID) -> None:
    """Remove what has arrived of a download."""
    folder, said = arriving(fetch_id)
    shutil.rmtree(folder, ignore_errors=True)
    said.unlink(missing_ok=True)


def sweep(session: Session) -> int:
    """Queue downloads whose worker is gone once more, and end those that were tried often enough; returns how many.

    What has arrived of downloads that ended is removed: at once, or after a day where it can still be of use.
    """
    abandoned = work.retry_silent(session, Fetch, "fetch", MOST_ATTEMPTS, AGAIN)
    session.flush()
    for folder in get_settings().checkpoints.glob(".arriving-*"):
        _forget_old(session, folder)
    return len(abandoned)


def _forget_old(session: Session, path: Path) -> None:
    try:
        fetch_id = uuid.UUID(path.name.removeprefix(".arriving-").removesuffix(".log"))
    except ValueError:  # none of ours
        return
    fetch = session.get(Fetch, fetch_id)
    if fetch is not None and fetch.state not in work.ENDED:
        return
    useful = fetch is not None and fetch.state is work.State.failed and fetch.finished_at is not None
    if not useful or (fetch is not None and fetch.finished_at is not None and work.now() - fetch.finished_at > KEPT):
        forget_arrived(fetch_id)
