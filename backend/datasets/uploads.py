"""Files that people send: streamed to disk under a limit, whole or not at all, and previewed before an import."""

import errno
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from anyio import to_thread
from sqlalchemy.orm import Session

from alignment import formats
from alignment.formats import FileRefused, RowError
from alignment.formats.containers import container_of
from alignment.formats.detect import detect, named
from alignment.formats.losses import stated
from backend.datasets.models import Upload
from backend.datasets.schemas import FormatOut, PreviewOut, PreviewRow, Problem
from backend.errors import AppError, Invalid, NoSpace, NotFound, TooLarge
from backend.projects.models import Project
from backend.settings import Settings

BLOCK = 1 << 20
RESERVE = 256 << 20  # what the disk keeps free for the database and runs
CONTAINERS = {
    "jsonl": "JSON lines",
    "json": "JSON list",
    "parquet": "Parquet",
    "table": "CSV",
    "lines": "Lines of text",
}
SHOWN_ROWS = 10
SHOWN_PROBLEMS = 20
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
        filename=_UNPRINTABLE.sub("_", filename).strip()[:200] or "upload",
        size=received.size,
        sha256=received.sha256,
        path=received.path.name,
        created_by=user_id,
    )
    session.add(upload)
    session.flush()
    return upload


def find(session: Session, project: Project, upload_id: uuid.UUID) -> Upload:
    """The upload, if it is this project's.  Raises NotFound."""
    found = session.get(Upload, upload_id)
    if found is None or found.project_id != project.id:
        raise NotFound.of("upload")
    return found


def file_of(upload: Upload, settings: Settings) -> Path:
    """The upload's file.  Raises UploadGone when somebody has removed it."""
    path = settings.uploads / Path(upload.path).name
    if not path.is_file():
        raise UploadGone(f"The file “{upload.filename}” is no longer on the server.", remedy="Upload it again.")
    return path


def preview(path: Path, format: str | None, settings: Settings) -> PreviewOut:
    """How the file would be read, from its first rows.  Raises FileUnreadable when it cannot be read at all."""
    try:
        rows, problems = formats.sample(path, max_row_bytes=settings.max_line_bytes)
        container = container_of(path)
    except FileRefused as refused:
        raise FileUnreadable(refused.reason, field="file", remedy=refused.remedy) from None
    try:
        detected = detect(row.values for row in rows) if rows else None
    except FileRefused as refused:
        detected = None
        problems.insert(0, RowError(0, "columns", f"{refused.reason} {refused.remedy}"))
    form = named(format) if format else detected
    shown, bad = _parsed(form, rows)
    problems = sorted(problems + bad, key=lambda problem: problem.line)
    return PreviewOut(
        format=form.NAME if form else None,
        detected=detected.NAME if detected else None,
        description=form.describe(rows[0].values) if form and rows else "No known format",
        container=CONTAINERS[container],
        columns=sorted({formats.excerpt(name, 60) for row in rows for name in row.values}),
        rows=shown,
        problems=[Problem.model_validate(problem) for problem in problems[:SHOWN_PROBLEMS]],
        rows_looked_at=len(rows) + len({problem.line for problem in problems if problem.field == "row"}),
        formats=[
            FormatOut(
                name=known.NAME, title=known.TITLE, losses=[*known.NOTES, *stated(next(iter(known.STYLES.values())))]
            )
            for known in formats.FORMATS.values()
        ],
    )


def _parsed(form: formats.Format | None, rows: list[formats.SampleRow]) -> tuple[list[PreviewRow], list[RowError]]:
    """The first items that the rows give in a format, and the rows that give none."""
    if form is None:
        return [], []
    read = list(formats.read_rows(form, rows))
    items = [row for row in read if isinstance(row, formats.Item)]
    return [_shown(item) for item in items[:SHOWN_ROWS]], [row for row in read if isinstance(row, RowError)]


def _shown(item: formats.Item) -> PreviewRow:
    return PreviewRow(
        line=item.line,
        prompt=[dict(turn) for turn in item.prompt],
        responses=[dict(answer) for answer in item.responses],
        labels=[dict(label.value) for label in item.labels],
        facts=item.facts,
    )
