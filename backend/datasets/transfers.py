"""Routes that bring data in: uploads, previews and imports."""

import json
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any, NamedTuple

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.requests import ClientDisconnect

from backend import storage
from backend.accounts.models import Role, User
from backend.audit import service as audit
from backend.checkpoints.schemas import HUB_ID, REVISION
from backend.datasets import hub, imports, previews, server_files, sources, uploads
from backend.datasets.schemas import (
    ImportDetail,
    ImportIn,
    ImportOut,
    PreviewIn,
    PreviewOut,
    UploadOut,
)
from backend.datasets.source_schemas import HubDatasetIn, HubDatasetOut, ServerFolder, ServerIn
from backend.db import transaction
from backend.deps import OnceDep, ProjectDep, Researcher, SessionDep, identify, locate, need
from backend.errors import AppError
from backend.paging import Cursor, Limit, Page
from backend.projects.models import Project
from backend.secrets.schemas import Name as SecretName
from backend.settings import get_settings

router = APIRouter()
BAD_ROWS = "application/x-ndjson"


class UploadBroken(AppError):
    status, title = 400, "Upload broken off"


def attachment(name: str) -> dict[str, str]:
    """Headers of a file to keep and never to show."""
    return {"content-disposition": f'attachment; filename="{name}"', "x-content-type-options": "nosniff"}


def a_file(*media_types: str) -> dict[int | str, dict[str, Any]]:
    """What the API's description says of a route that answers with a file."""
    raw = {"type": "string", "format": "binary"}
    content = {name: {"schema": {"type": "object"} if name == "application/json" else raw} for name in media_types}
    return {200: {"description": "A file to keep", "content": content}}


class Uploader(NamedTuple):
    """Who uploads, and into which project."""

    user: User
    project: Project


def uploading(session: Session, request: Request) -> Uploader:
    """Raises SignedOut, NotAMember or NotAllowed."""
    identity = identify(session, request)
    place = locate(session, identity, request)
    need(place, Role.researcher)
    return Uploader(identity.user, place.project)


def may_upload(request: Request) -> None:
    """Asked in a transaction of its own, because the file may take an hour to arrive; and asked again when it has."""
    with transaction() as session:
        uploading(session, request)


@router.post("/uploads", status_code=201, dependencies=[Depends(may_upload)])
async def upload(
    request: Request,
    filename: Annotated[str, Query(min_length=1, max_length=400)],
) -> UploadOut:
    """Keep the request's raw body as a file."""
    settings = get_settings()
    announced = request.headers.get("content-length", "")
    await to_thread.run_sync(uploads.refuse_size, int(announced) if announced.isdigit() else None, settings)
    received = await uploads.receive(_whole(request), settings)

    def record() -> UploadOut:
        storage.put(received.path, uploads.key_of(received.path.name), move=True)
        with transaction() as session:
            by = uploading(session, request)
            row = uploads.record(session, by.project, by.user.id, filename, received)
            session.refresh(row)
            return sources.out(session, row)

    try:
        return await to_thread.run_sync(record)
    except BaseException:
        received.path.unlink(missing_ok=True)
        await to_thread.run_sync(storage.delete, uploads.key_of(received.path.name))
        raise


async def _whole(request: Request) -> AsyncIterator[bytes]:
    """The body's chunks; a sender who goes away in the middle is an error of its own."""
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        raise UploadBroken("The upload broke off, so the file was not kept.", remedy="Upload it again.") from None


@router.get("/data-files")
def browse_server(
    _: Researcher, project: ProjectDep, path: Annotated[str | None, Query(max_length=4096)] = None
) -> ServerFolder:
    """Data files in the folders of the server that an admin allows."""
    del project
    return server_files.browse(get_settings(), path)


@router.post("/uploads/server", status_code=201)
def use_server_files(
    body: ServerIn, user: Researcher, session: SessionDep, project: ProjectDep, once: OnceDep
) -> UploadOut:
    """A file or folder of the server as data to import, read where it lies."""

    def create() -> UploadOut:
        return sources.out(session, sources.from_server(session, project, user.id, body.path, get_settings()))

    return once(body, UploadOut, create)


@router.get("/hub/datasets")
def look_at_hub_dataset(
    user: Researcher,
    project: ProjectDep,
    session: SessionDep,
    hub_id: Annotated[str, Query(pattern=HUB_ID)],
    revision: Annotated[str, Query(pattern=REVISION)] = "main",
    secret: Annotated[SecretName | None, Query()] = None,
) -> HubDatasetOut:
    """What a hub says of a dataset before it is taken: license, size, configurations and splits."""
    return hub.look(session, project.id, user, hub_id, revision, secret)


@router.post("/uploads/hub", status_code=201)
def use_hub_dataset(
    body: HubDatasetIn, user: Researcher, session: SessionDep, project: ProjectDep, once: OnceDep
) -> UploadOut:
    """A split of a hub's dataset at one commit as data to import; its rows are fetched by the import."""
    return once(
        body, UploadOut, lambda: sources.out(session, sources.from_hub(session, project, user, body, get_settings()))
    )


@router.get("/uploads/{upload_id}")
def read_upload(upload_id: uuid.UUID, _: Researcher, session: SessionDep, project: ProjectDep) -> UploadOut:
    """One upload, and the imports of the same data."""
    return sources.out(session, uploads.find(session, project, upload_id))


@router.post("/uploads/{upload_id}/preview")
def preview(
    upload_id: uuid.UUID, body: PreviewIn, _: Researcher, session: SessionDep, project: ProjectDep
) -> PreviewOut:
    """How the file would be read: format, first rows, first problems."""
    settings = get_settings()
    path = sources.first_file(uploads.find(session, project, upload_id), settings)
    return previews.look(path, body, settings)


@router.post("/imports", status_code=202)
def start_import(
    body: ImportIn, user: Researcher, session: SessionDep, project: ProjectDep, once: OnceDep
) -> ImportOut:
    """Read an upload into a new dataset."""

    def create() -> ImportOut:
        row = imports.start(session, project, user.id, body, get_settings())
        audit.record(session, user, project.id, "import", "dataset", row.id, {"name": row.name})
        return imports.out(row, imports.filename(session, row))

    return once(body, ImportOut, create)


@router.get("/imports")
def list_imports(
    _: Researcher,
    session: SessionDep,
    project: ProjectDep,
    cursor: Cursor = None,
    limit: Limit = 50,
    dataset_id: uuid.UUID | None = None,
) -> Page[ImportOut]:
    """Imports, newest first."""
    rows, next_cursor = imports.page(session, project, cursor, limit, dataset_id)
    return Page(items=[imports.out(row, filename) for row, filename in rows], next_cursor=next_cursor)


@router.get("/imports/{import_id}")
def read_import(import_id: uuid.UUID, _: Researcher, session: SessionDep, project: ProjectDep) -> ImportDetail:
    """One import with its progress, bad rows and warnings."""
    row = imports.find(session, project, import_id)
    return ImportDetail.model_validate(row).model_copy(update={"filename": imports.filename(session, row)})


@router.get("/imports/{import_id}/errors", response_class=Response, responses=a_file(BAD_ROWS))
def download_errors(import_id: uuid.UUID, _: Researcher, session: SessionDep, project: ProjectDep) -> Response:
    """The bad rows (the first thousand) as JSON lines to keep."""
    row = imports.find(session, project, import_id)
    lines = "".join(json.dumps(error, ensure_ascii=False) + "\n" for error in row.errors)
    return Response(lines, media_type=BAD_ROWS, headers=attachment("import-errors.jsonl"))


@router.post("/imports/{import_id}/cancel")
def cancel_import(import_id: uuid.UUID, user: Researcher, session: SessionDep, project: ProjectDep) -> ImportOut:
    """Ask for the end of an import; nothing of it is kept."""
    row = imports.cancel(session, project, import_id)
    audit.record(session, user, project.id, "cancel", "import", row.id, {"name": row.name})
    return imports.out(row, imports.filename(session, row))
