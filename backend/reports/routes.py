"""Routes of training elsewhere: people give out and take back tokens; the program that has one reports."""

import uuid
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import FileResponse
from sqlalchemy.orm import Session

from backend.deps import ProjectDep, Researcher, SessionDep, bearer
from backend.reports import arrivals, service, tokens
from backend.reports.schemas import (
    LAST_STEP,
    ArrivingOut,
    EndIn,
    Heard,
    ReportedCheckpointIn,
    ReporterIn,
    ReporterOut,
    ReportTokenOut,
    StartIn,
    StartOut,
)
from backend.runs import service as runs
from backend.runs.models import Run
from backend.settings import get_settings

router = APIRouter(tags=["reports"])


def _url(request: Request, run_id: uuid.UUID) -> str:
    return f"{str(request.base_url).rstrip('/')}/api/v1/report/{run_id}"


@router.post("/runs/{run_id}/reporter", status_code=201)
def allow_reporter(
    run_id: uuid.UUID, body: ReporterIn, user: Researcher, project: ProjectDep, session: SessionDep, request: Request
) -> ReportTokenOut:
    """A token with which one program elsewhere trains this run; it replaces the one before."""
    token, secret = service.allow(session, runs.find(session, project, run_id, lock=True), user, body.hours)
    url = _url(request, run_id)
    command = f"PLUMBLINE_REPORT_TOKEN={secret} plumbline train --report {url} --out run-{str(run_id)[-12:]}"
    return ReportTokenOut(token=secret, prefix=token.prefix, expires_at=token.expires_at, url=url, command=command)


@router.get("/runs/{run_id}/reporter")
def read_reporter(
    run_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep, request: Request
) -> ReporterOut:
    """Whether the program elsewhere is heard of."""
    return service.connection(session, runs.find(session, project, run_id), _url(request, run_id))


@router.delete("/runs/{run_id}/reporter", status_code=204)
def revoke_reporter(run_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> None:
    """Revoke the token: nothing more is taken from the program elsewhere."""
    tokens.revoke(session, runs.find(session, project, run_id, lock=True))


def admitted(run_id: uuid.UUID, session: SessionDep, request: Request) -> Run:
    """The run that the caller's token is for."""
    return tokens.admit(session, bearer(request), run_id)


Admitted = Annotated[Run, Depends(admitted)]


def begun(
    run: Admitted,
    plumbline_reporter: Annotated[str | None, Header(max_length=64, description="The id given at the start.")] = None,
) -> Run:
    """The same, when the caller is the program that has begun it."""
    service.require_reporter(run, plumbline_reporter)
    return run


Begun = Annotated[Run, Depends(begun)]


async def raw(request: Request, _: Admitted) -> bytes:
    """The whole body, which the guard keeps small; read only for somebody with a token."""
    return await request.body()


Raw = Annotated[bytes, Depends(raw)]
Offset = Annotated[int, Query(ge=0, le=2**62)]
Step = Annotated[int, Query(ge=0, le=LAST_STEP)]
BODY: dict[str, Any] = {
    "requestBody": {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.post("/report/{run_id}/start")
def start(body: StartIn, run: Admitted, session: SessionDep) -> StartOut:
    """Begin, or begin again after an interruption: everything that training needs to be told."""
    _lock(session, run)
    return service.start(session, run, body, get_settings())


@router.get("/report/{run_id}/snapshot/{name}", response_class=FileResponse)
def get_data(name: str, run: Begun, session: SessionDep) -> FileResponse:
    """A file of the run's data."""
    return _file(service.data_file(session, run, name))


@router.get("/report/{run_id}/weights/{role}/{link}/{name}", response_class=FileResponse)
def get_weights(role: str, link: int, name: str, run: Begun, session: SessionDep) -> FileResponse:
    """A file of the `checkpoint`, of the `reference` or of another one that the run needs, or of what that adapts."""
    return _file(service.weights_file(session, run, role, link, name))


@router.post("/report/{run_id}/events", openapi_extra=BODY)
def take_events(
    offset: Offset,
    run: Begun,
    body: Raw,
    session: SessionDep,
    content_encoding: Annotated[str | None, Header(max_length=20)] = None,
) -> Heard:
    """Lines of events.jsonl from a byte offset on, gzip or plain; without any it is a heartbeat."""
    _lock(session, run)
    return service.take(session, run, offset, body, content_encoding == "gzip", get_settings())


@router.put("/report/{run_id}/checkpoints/{step}")
def declare(step: int, body: ReportedCheckpointIn, run: Begun, session: SessionDep) -> ArrivingOut:
    """Announce the files of a checkpoint; the answer says how much of each is here already."""
    parent, _ = service.parent(session, run)
    return ArrivingOut(received=arrivals.declare(run.id, _step(step), body, parent), stored=False)


@router.post("/report/{run_id}/checkpoints/{step}/files/{name}", openapi_extra=BODY)
def receive(step: int, name: str, offset: Offset, run: Begun, body: Raw) -> ArrivingOut:
    """A piece of a file; the answer says where the next one begins."""
    return ArrivingOut(received={name: arrivals.receive(run.id, _step(step), name, offset, body)}, stored=False)


@router.post("/report/{run_id}/checkpoints/{step}/stored")
def store(step: int, run: Begun, session: SessionDep) -> ArrivingOut:
    """Store a checkpoint that is here whole; ask again until it is stored."""
    parent, base = service.parent(session, run)
    return ArrivingOut(received={}, stored=arrivals.store(run.id, _step(step), parent, base))


@router.post("/report/{run_id}/end")
def end(body: EndIn, run: Begun, session: SessionDep) -> Heard:
    """The training process has ended; afterwards the token is good for nothing."""
    _lock(session, run)
    service.end(session, run, body.exit_code)
    return Heard(offset=run.events_offset, state=run.state, stop=run.stop_requested)


def _lock(session: Session, run: Run) -> None:
    """Afterwards the run is locked, and still one to report.  Raises RunEnded."""
    session.refresh(run, with_for_update=True)
    tokens.require_open(run)


def _step(step: int) -> int:
    if not 0 <= step <= LAST_STEP:
        raise arrivals.FileRefused("There is no such step.", field="step")
    return step


def _file(path: Path) -> FileResponse:
    return FileResponse(path, media_type="application/octet-stream", headers={"x-content-type-options": "nosniff"})
