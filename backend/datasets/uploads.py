"""Files that people send: streamed to disk under a limit, whole or not at all, and previewed before an import."""

import errno
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from anyio import to_thread
from sqlalchemy.orm import Session

from backend import storage
from backend.datasets.models import Upload
from backend.errors import AppError, Invalid, NoSpace, NotFound, TooLarge
from backend.projects.models import Project
from backend.settings import Settings

BLOCK = 1 << 20
RESERVE = 256 << 20  # what the disk keeps free for the database and runs
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f/\\]+")


class FileUnreadable(Invalid):
    title = "File cannot be read"


class UploadGone(AppError):
    status, title = 410, "Upload gone"


class Received(NamedTuple):
    """A file that lies on the disk now."""

    id: uuid.UUID
    path: Path
    size: int
    sha256: str


def folder_of(settings: Settings) -> Path:
    """The uploads folder, which exists afterwards and is readable by this program alone."""
    settings.uploads.mkdir(parents=True, exist_ok=True, mode=0o700)
    return settings.uploads


def refuse_size(announced: int | None, settings: Settings) -> None:
    """Raise TooLarge or NoSpace before a byte is read, when the announced size already says so."""
    if announced is None:
        return
    if announced > settings.max_upload_bytes:
        raise _too_large(settings)
    if shutil.disk_usage(folder_of(settings)).free - RESERVE < announced:
        raise _no_space()


async def receive(chunks: AsyncIterator[bytes], settings: Settings) -> Received:
    """Write the chunks to a new file.  Whatever goes wrong on the way, no part of the file is left."""
    folder = folder_of(settings)
    file_id = uuid.uuid4()
    part, path = folder / f"{file_id}.part", folder / str(file_id)
    digest, size = hashlib.sha256(), 0
    held = bytearray()
    try:
        with part.open("xb") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > settings.max_upload_bytes:
                    raise _too_large(settings)
                digest.update(chunk)
                held += chunk
                if len(held) >= BLOCK:
                    await to_thread.run_sync(file.write, bytes(held))
                    held.clear()
            await to_thread.run_sync(file.write, bytes(held))
            await to_thread.run_sync(_to_disk, file.fileno(), file.flush)
        part.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_space() from None
        raise
    finally:
        part.unlink(missing_ok=True)
    if not size:
        path.unlink()
        raise FileUnreadable("The file is empty.", field="file", remedy="Choose a file that holds rows.")
    return Received(file_id, path, size, digest.hexdigest())


def key_of(name: str) -> str:
    """Where an upload is stored."""
    return f"uploads/{Path(name).name}"


def _to_disk(handle: int, flush: object) -> None:
    flush()  # type: ignore[operator]
    os.fsync(handle)


def _too_large(settings: Settings) -> TooLarge:
    return TooLarge(
        f"The file is larger than {settings.max_upload_bytes:,} bytes.",
        field="file",
        remedy="Split the file, or raise PLUMBLINE_MAX_UPLOAD_BYTES.",
    )


def _no_space() -> NoSpace:
    return NoSpace("The disk is full: the file was not kept.", field="file", remedy="Free some space, then try again.")


def record(session: Session, project: Project, user_id: uuid.UUID, filename: str, received: Received) -> Upload:
    """The row of a received file."""
    upload = Upload(
        id=received.id,
        project_id=project.id,
        filename=printable(filename),
        size=received.size,
        sha256=received.sha256,
        path=received.path.name,
        created_by=user_id,
    )
    session.add(upload)
    session.flush()
    return upload


def printable(filename: str) -> str:
    """The name of a file as it is shown."""
    return _UNPRINTABLE.sub("_", filename).strip()[:200] or "upload"


def find(session: Session, project: Project, upload_id: uuid.UUID) -> Upload:
    """The upload, if it is this project's.  Raises NotFound."""
    found = session.get(Upload, upload_id)
    if found is None or found.project_id != project.id:
        raise NotFound.of("upload")
    return found


def file_of(upload: Upload) -> Path:
    """The upload's file, here for the next minutes.  Raises UploadGone when it has been removed."""
    with ExitStack() as held:
        return hold(upload, held)


def hold(upload: Upload, until: ExitStack) -> Path:
    """The same until the end of `until`."""
    if upload.removed_at is None:
        try:
            return until.enter_context(storage.using())(key_of(upload.path))
        except storage.ObjectMissing:
            pass
    why = "was removed when it had been imported" if upload.removed_at else "is no longer on the server"
    raise UploadGone(f"The file “{upload.filename}” {why}.", remedy="Upload it again.")
