"""Uploads exports to a hub: claims an upload, reveals its token to a process of its own, records the commit."""

import sys
import tempfile
import uuid
from pathlib import Path
from typing import NamedTuple

from backend import storage
from backend import work as queued
from backend.accounts.models import User
from backend.db import transaction
from backend.errors import AppError
from backend.exports import pushes, service
from backend.exports.models import Push
from backend.secrets import service as secrets
from workers import shutdown
from workers.errand import BROKEN, Ended, Errand, Words
from workers.heartbeat import beating

# Plain HTTPS with LFS, which every hub and mirror speaks, and whose progress can be told.
ENVIRONMENT = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1"}
CANCELLED = "Cancelled. The hub shows no file of it."


class Wanted(NamedTuple):
    """A claimed upload."""

    id: uuid.UUID
    project_id: uuid.UUID
    export_id: uuid.UUID | None
    repo_id: str
    private: bool
    secret: str
    created_by: uuid.UUID | None


def work() -> None:
    """Claim and finish queued uploads until none is left or the worker is told to stop."""
    while not shutdown.asked():
        with transaction() as session:
            row = queued.claim(session, Push)
            if row is None:
                return
            wanted = Wanted(row.id, row.project_id, row.export_id, row.repo_id, row.private, row.secret, row.created_by)
        push(wanted)


def push(wanted: Wanted) -> None:
    """Afterwards the export is on the hub, or the upload has ended otherwise."""
    errand = Errand(Push, wanted.id, _note)
    if wanted.export_id is None:
        errand.fail("The export was deleted.", service.AGAIN)
        return
    try:
        with transaction() as session:
            user = session.get(User, wanted.created_by) if wanted.created_by else None
            token = secrets.reveal(session, wanted.project_id, wanted.secret, user=user)
        with tempfile.TemporaryDirectory() as folder, storage.using() as use:
            with beating(Push, wanted.id):
                source = use(service.key(wanted.export_id))
            visibility = "private" if wanted.private else "public"
            command = [sys.executable, "-m", "workers.pusher", str(source), wanted.repo_id, visibility]
            ended = errand.run(command, Path(folder) / "said", {**ENVIRONMENT, "HF_TOKEN": token, "HF_HOME": folder})
    except AppError as error:  # the secret or the files are gone
        errand.fail(error.detail, error.remedy)
        return
    _conclude(errand, ended)


def _note(row: Push, said: Words) -> None:
    row.done = min(said.get("bytes", 0), row.total)


def _conclude(errand: Errand[Push], ended: Ended) -> None:
    if ended.done:
        errand.conclude(lambda _session, row: _record(row, ended.said))
    elif ended.stopped:
        errand.halt(CANCELLED)
    else:
        errand.fail(ended.said.get("reason", BROKEN), ended.said.get("remedy", pushes.AGAIN))


def _record(row: Push, said: Words) -> None:
    row.commit, row.url, row.done = said["commit"], said["url"], row.total
