"""Routes of exports: making, downloading, deleting, and uploading them to a hub."""

import uuid
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import FileResponse, StreamingResponse

from backend import storage
from backend.audit import service as audit
from backend.datasets.transfers import a_file, attachment
from backend.deps import OnceDep, ProjectDep, Researcher, SessionDep
from backend.errors import NotFound
from backend.exports import archive, pushes, service
from backend.exports.schemas import ExportIn, ExportOut, PushIn, PushOut
from backend.paging import Cursor, Limit, Page

router = APIRouter(tags=["exports"])
TAR = "application/x-tar"
BYTES = "application/octet-stream"


@router.post("/exports", status_code=202)
def export(body: ExportIn, user: Researcher, project: ProjectDep, session: SessionDep, once: OnceDep) -> ExportOut:
    """Write a checkpoint for others: weights, tokenizer, template and card, compared with what they came from."""

    def create() -> ExportOut:
        found = service.request(session, project, user, body)
        audit.record(session, user, project.id, "export", "checkpoint", body.checkpoint_id, {"kind": body.kind.value})
        return service.out(found)

    return once(body, ExportOut, create)


@router.get("/exports")
def list_exports(
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    cursor: Cursor = None,
    limit: Limit = 50,
    checkpoint_id: uuid.UUID | None = None,
) -> Page[ExportOut]:
    """Exports, newest first."""
    rows, following = service.page(session, project, cursor, limit, checkpoint_id)
    return Page(items=[service.out(row) for row in rows], next_cursor=following)


@router.get("/exports/{export_id}")
def get_export(export_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> ExportOut:
    """One export with its files and the commands that serve it."""
    return service.out(service.find(session, project, export_id))


@router.post("/exports/{export_id}/cancel")
def cancel_export(export_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> ExportOut:
    """Stop an export; nothing of it is kept."""
    return service.out(service.cancel(session, project, export_id))


@router.delete("/exports/{export_id}", status_code=204)
def delete_export(export_id: uuid.UUID, user: Researcher, project: ProjectDep, session: SessionDep) -> None:
    """Delete an export and free its disk."""
    audit.record(session, user, project.id, "delete", "export", export_id)
    service.remove(session, project, export_id)


@router.get(
    "/exports/{export_id}/archive",
    response_class=StreamingResponse,
    responses={**a_file(TAR), 206: {"description": "The part asked for", "content": {TAR: {}}}},
)
def download_archive(
    export_id: uuid.UUID,
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    range: Annotated[str | None, Header(max_length=200)] = None,
    if_range: Annotated[str | None, Header(max_length=200)] = None,
) -> StreamingResponse:
    """The whole export as one tar archive, made while it is sent; one byte range may be asked for."""
    found = service.find(session, project, export_id)
    service.require_files(found)
    name, files, etag = found.name, found.files, f'"{found.id}"'
    total = archive.size(name, files)
    part = archive.asked(range, total) if if_range in (None, etag) else None
    sent = part or archive.Range(0, total)
    headers = attachment(f"{name}.tar") | {
        "accept-ranges": "bytes",
        "content-length": str(sent.end - sent.start),
        "etag": etag,
    }
    if part is not None:
        headers["content-range"] = f"bytes {part.start}-{part.end - 1}/{total}"
    key = service.key(found.id)

    def blocks() -> Iterator[bytes]:
        with storage.using() as use:
            yield from archive.stream(use(key), name, files, sent)

    return StreamingResponse(blocks(), 206 if part else 200, headers, TAR)


@router.get("/exports/{export_id}/files/{name:path}", response_class=FileResponse, responses=a_file(BYTES))
def download_file(
    export_id: uuid.UUID, name: str, _: Researcher, project: ProjectDep, session: SessionDep
) -> FileResponse:
    """One file of the export; byte ranges may be asked for."""
    found = service.find(session, project, export_id)
    service.require_files(found)
    # Only names that the export lists: a path from outside is compared, never followed.
    file = next((file for file in found.files if file["name"] == name), None)
    if file is None:
        raise NotFound.of("file")
    path = storage.local(service.key(found.id)) / file["name"]
    if not path.is_file():
        raise service.FilesGone("This file is gone.", remedy=service.AGAIN)
    headers = attachment(file["name"].rpartition("/")[2])
    return FileResponse(path, media_type=BYTES, headers=headers)


@router.post("/exports/{export_id}/pushes", status_code=202)
def push(
    export_id: uuid.UUID, body: PushIn, user: Researcher, project: ProjectDep, session: SessionDep, once: OnceDep
) -> PushOut:
    """Upload an export to a hub, with a token of the project's secrets."""

    def create() -> PushOut:
        found = pushes.request(session, project, user, export_id, body)
        audit.record(session, user, project.id, "upload", "export", export_id, {"repo_id": body.repo_id})
        return PushOut.model_validate(found)

    return once(body, PushOut, create)


@router.get("/pushes")
def list_pushes(
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    cursor: Cursor = None,
    limit: Limit = 50,
    checkpoint_id: uuid.UUID | None = None,
) -> Page[PushOut]:
    """Uploads to hubs, newest first."""
    rows, following = pushes.page(session, project, cursor, limit, checkpoint_id)
    return Page(items=[PushOut.model_validate(row) for row in rows], next_cursor=following)


@router.get("/pushes/{push_id}")
def get_push(push_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> PushOut:
    """One upload."""
    return PushOut.model_validate(pushes.find(session, project, push_id))


@router.post("/pushes/{push_id}/cancel")
def cancel_push(push_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> PushOut:
    """Stop an upload; the hub shows nothing of it but an empty repository where there was none."""
    return PushOut.model_validate(pushes.cancel(session, project, push_id))
