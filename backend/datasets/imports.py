"""Imports as pieces of work: asked for, watched, stopped, finished; and the sweep of those whose worker is gone."""

import hashlib
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from alignment.formats import FORMATS, FileRefused, Mapped, Surveyed
from backend import paging, queue, work
from backend.datasets import leftovers, previews, sources, uploads
from backend.datasets.models import Import, Upload
from backend.datasets.schemas import ImportIn, ImportOut, PreviewIn
from backend.datasets.service import NameTaken, refuse_taken
from backend.errors import Conflict, Invalid, NotFound
from backend.projects.models import Project
from backend.settings import Settings, get_settings

LOST = "The worker stopped in the middle of the import. Nothing of it was kept."
AGAIN = "Start the import again; the file is still here."


class ImportedAlready(Conflict):
    title = "Imported already"


class SurveyNeeded(Invalid):
    title = "Something must be said first"


class UnknownFormat(Invalid):
    title = "Unknown format"


def start(session: Session, project: Project, user_id: uuid.UUID, body: ImportIn, settings: Settings) -> Import:
    """A queued import; a worker is told once the caller commits.  Raises NotFound, NameTaken, UnknownFormat,
    ImportedAlready, UploadGone.
    """
    upload = uploads.find(session, project, body.upload_id)
    path = sources.first_file(upload, settings)
    if not body.again:
        _refuse_double(session, upload)
    refuse_taken(session, project, body.name)
    waiting = select(Import.id).where(
        Import.project_id == project.id, Import.name == body.name, Import.state.not_in(work.ENDED)
    )
    if session.scalar(waiting):
        raise NameTaken(
            f"An import into “{body.name}” is under way.", field="name", remedy="Wait for it, or choose another name."
        )
    format = _format(path, body, settings)
    row = Import(
        project_id=project.id,
        upload_id=upload.id,
        name=body.name,
        format=format,
        columns=body.columns.model_dump(exclude_defaults=True) if body.columns else None,
        survey=_survey(path, format, body, settings),
        abort_on_bad_row=body.abort_on_bad_row,
        bytes_total=upload.size,
        created_by=user_id,
    )
    session.add(row)
    session.flush()
    queue.ring(session, "imports")
    return row


def _refuse_double(session: Session, upload: Upload) -> None:
    """Raise ImportedAlready when the same data are in the project, or on their way; of two at once, for the second."""
    lock = int.from_bytes(hashlib.sha256(f"{upload.project_id} {upload.sha256}".encode()).digest()[:8], signed=True)
    session.execute(select(func.pg_advisory_xact_lock(lock)))
    before = sources.imported_before(session, upload)
    if before:
        done = "was imported as" if before[0].dataset_id else "is being imported as"
        raise ImportedAlready(
            f"The same data {done} “{before[0].name}” on {before[0].created_at:%Y-%m-%d}.",
            field="upload_id",
            remedy="Use that dataset; or import it once more under another name (“again”).",
            imported=[one.model_dump(mode="json") for one in before],
        )


def _format(path: Path, body: ImportIn, settings: Settings) -> str:
    """The format that was asked for, or detected.  Raises UnknownFormat."""
    if body.columns is not None:
        if body.format not in (None, Mapped.NAME):
            raise UnknownFormat(
                "A mapping of columns is for the format “mapped” alone.",
                field="columns",
                remedy="Leave one of them out.",
            )
        return Mapped.NAME
    found = body.format or previews.look(path, PreviewIn(), settings).detected
    if found is None:
        raise UnknownFormat(
            "The format of the file was not recognized.",
            field="format",
            remedy="Look at the preview and choose one, or say which column is what.",
        )
    return found


def _survey(path: Path, format: str, body: ImportIn, settings: Settings) -> dict[str, Any] | None:
    """The survey that was given, or guessed from the first rows.  Raises SurveyNeeded with what must be asked."""
    if not isinstance(FORMATS[format], Surveyed):
        if body.survey is not None:
            raise UnknownFormat(
                "A survey is for exports of labelling tools alone.", field="survey", remedy="Leave it out."
            )
        return None
    if body.survey is not None:
        return body.survey.model_dump(mode="json")
    found = previews.look(path, PreviewIn(format=format), settings)
    if found.survey is None:
        reason = next(
            (one.reason for one in found.problems if one.field == "survey"), "Which question decides is not said."
        )
        raise SurveyNeeded(reason, field="survey", remedy="Say it in the preview, or as “survey” of the request.")
    return found.survey.model_dump(mode="json")


def find(session: Session, project: Project, import_id: uuid.UUID) -> Import:
    """The import, if it is this project's.  Raises NotFound."""
    found = session.get(Import, import_id)
    if found is None or found.project_id != project.id:
        raise NotFound.of("import")
    return found


def cancel(session: Session, project: Project, import_id: uuid.UUID) -> Import:
    """Ask for the end of an import; nothing of it will be kept."""
    row = find(session, project, import_id)
    session.refresh(row, with_for_update=True)
    work.request_stop(row)
    return row


def page(
    session: Session, project: Project, cursor: str | None, limit: int, dataset_id: uuid.UUID | None
) -> tuple[Sequence[Row[Import, str]], str | None]:
    """Imports with their file's name, newest first, and the cursor of the next page."""
    query = (
        select(Import, Upload.filename)
        .join(Upload, Upload.id == Import.upload_id)
        .where(Import.project_id == project.id)
    )
    if dataset_id is not None:
        query = query.where(Import.dataset_id == dataset_id)
    return paging.page_of_rows(session, query, Import.id, cursor, limit)


def filename(session: Session, row: Import) -> str:
    """The name of the file that an import reads."""
    return session.get_one(Upload, row.upload_id).filename


def out(row: Import, filename: str) -> ImportOut:
    """The import as lists show it."""
    return ImportOut.model_validate(row).model_copy(update={"filename": filename})


def refused(error: FileRefused) -> tuple[str, str]:
    """Reason and remedy of an import whose file cannot be read."""
    return f"{error.reason} Nothing was imported.", error.remedy


def sweep(session: Session) -> int:
    """End the imports whose worker is gone, and tell how many.  What they had written went with their transaction.

    Files that a killed program left unfinished go too, and what nobody has used for a week.
    """
    leftovers.remove(get_settings())
    leftovers.forget(session)
    return len(work.end_silent(session, Import, LOST, AGAIN, "Cancelled. Nothing was kept."))
