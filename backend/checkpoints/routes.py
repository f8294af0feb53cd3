"""Routes of checkpoints, the folders they may come from, and downloads from a hub."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query

from backend.accounts.schemas import Page
from backend.checkpoints import lineage, service
from backend.checkpoints.schemas import CheckpointIn, CheckpointOut, FetchIn, FetchOut, FolderOut, LineageOut
from backend.deps import OnceDep, ProjectDep, Researcher, SessionDep
from backend.settings import get_settings

router = APIRouter(tags=["checkpoints"])
Limit = Annotated[int, Query(ge=1, le=200)]


@router.get("/checkpoints")
def list_checkpoints(
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    cursor: uuid.UUID | None = None,
    limit: Limit = 50,
    run_id: uuid.UUID | None = None,
) -> Page[CheckpointOut]:
    """Checkpoints, newest first."""
    rows, following = service.page(session, project, cursor, limit, run_id)
    return Page(items=[service.out(row) for row in rows], next_cursor=following)


@router.post("/checkpoints", status_code=201)
def register(
    body: CheckpointIn, user: Researcher, project: ProjectDep, session: SessionDep, once: OnceDep
) -> CheckpointOut:
    """Register a folder that lies in an allowed root."""
    roots = get_settings().roots()
    return once(body, CheckpointOut, lambda: service.out(service.register_folder(session, project, user, body, roots)))


@router.get("/checkpoints/{checkpoint_id}")
def get_checkpoint(checkpoint_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> CheckpointOut:
    """One checkpoint."""
    return service.out(service.find(session, project, checkpoint_id))


@router.get("/checkpoints/{checkpoint_id}/lineage")
def get_lineage(checkpoint_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> LineageOut:
    """Runs, specs, snapshots and parents down to imported weights; children and evaluations."""
    return lineage.trace(session, service.find(session, project, checkpoint_id))


@router.get("/checkpoint-folders")
def list_folders(_: Researcher, project: ProjectDep, session: SessionDep) -> Page[FolderOut]:
    """What can be registered, and the reason for what cannot."""
    return Page(items=service.list_folders(session, project, get_settings().roots()))


@router.post("/fetches", status_code=202)
def fetch(body: FetchIn, user: Researcher, project: ProjectDep, session: SessionDep, once: OnceDep) -> FetchOut:
    """Download a model from the hub and register it."""
    return once(body, FetchOut, lambda: service.request_fetch(session, project, user, body))


@router.get("/fetches")
def list_fetches(_: Researcher, project: ProjectDep, session: SessionDep, limit: Limit = 20) -> Page[FetchOut]:
    """The newest downloads."""
    return Page(items=[FetchOut.model_validate(row) for row in service.fetches(session, project, limit)])


@router.get("/fetches/{fetch_id}")
def get_fetch(fetch_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> FetchOut:
    """One download."""
    return FetchOut.model_validate(service.find_fetch(session, project, fetch_id))


@router.post("/fetches/{fetch_id}/cancel")
def cancel_fetch(fetch_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> FetchOut:
    """Stop a download; nothing of it is kept."""
    return FetchOut.model_validate(service.cancel_fetch(session, project, fetch_id))
