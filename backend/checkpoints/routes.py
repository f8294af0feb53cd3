"""Routes of checkpoints, the folders they may come from, and downloads from a hub."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query

from backend.checkpoints import endpoints, fetches, lineage, preview, registering, service, templates
from backend.checkpoints.schemas import (
    HUB_ID,
    REVISION,
    CheckpointIn,
    CheckpointOut,
    EndpointIn,
    EndpointRef,
    EndpointTestOut,
    FetchIn,
    FetchOut,
    FolderOut,
    HubModelOut,
    LineageOut,
    PinIn,
    ResumeIn,
    ServedOut,
    TemplateCheckIn,
    TemplateCheckOut,
    TemplateIn,
)
from backend.deps import OnceDep, ProjectDep, Researcher, SessionDep
from backend.paging import Cursor, Limit, Page
from backend.secrets.schemas import Name as SecretName
from backend.settings import get_settings

router = APIRouter(tags=["checkpoints"])


@router.get("/checkpoints")
def list_checkpoints(
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    cursor: Cursor = None,
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
    if body.chat_template is not None:
        templates.try_out(
            session, project, TemplateCheckIn(chat_template=body.chat_template, folder=body.folder), roots
        )
    return once(
        body, CheckpointOut, lambda: service.out(registering.register_folder(session, project, user, body, roots))
    )


@router.get("/checkpoints/{checkpoint_id}")
def get_checkpoint(checkpoint_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> CheckpointOut:
    """One checkpoint."""
    return service.out(service.find(session, project, checkpoint_id))


@router.get("/checkpoints/{checkpoint_id}/lineage")
def get_lineage(checkpoint_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> LineageOut:
    """Runs, specs, snapshots and parents down to imported weights; children and evaluations."""
    return lineage.trace(session, service.find(session, project, checkpoint_id))


@router.put("/checkpoints/{checkpoint_id}/pinned")
def pin(
    checkpoint_id: uuid.UUID, body: PinIn, user: Researcher, project: ProjectDep, session: SessionDep
) -> CheckpointOut:
    """Keep the weights whatever the project's retention rules say, or no longer."""
    return service.out(service.pin(session, project, user, checkpoint_id, pinned=body.pinned))


@router.post("/checkpoints/{checkpoint_id}/chat-template")
def give_template(
    checkpoint_id: uuid.UUID, body: TemplateIn, _: Researcher, project: ProjectDep, session: SessionDep
) -> CheckpointOut:
    """Give a chat template to a checkpoint that has none of its own; the folder of its weights is not touched."""
    return service.out(templates.give(session, project, checkpoint_id, body.chat_template))


@router.post("/chat-templates/check")
def check_template(body: TemplateCheckIn, _: Researcher, project: ProjectDep, session: SessionDep) -> TemplateCheckOut:
    """What a chat template makes of sample dialogues; nothing is stored."""
    return templates.try_out(session, project, body, get_settings().roots())


@router.get("/checkpoint-folders")
def list_folders(_: Researcher, project: ProjectDep, session: SessionDep) -> Page[FolderOut]:
    """What can be registered, and the reason for what cannot."""
    return Page(items=registering.list_folders(session, project, get_settings().roots()))


@router.post("/endpoints/models")
def list_endpoint_models(
    body: EndpointRef, user: Researcher, project: ProjectDep, session: SessionDep
) -> Page[ServedOut]:
    """The models that an OpenAI-compatible server lists."""
    found = endpoints.models(session, project, user, body)
    return Page(items=[ServedOut.model_validate(one) for one in found])


@router.post("/endpoints", status_code=201)
def register_endpoint(
    body: EndpointIn, user: Researcher, project: ProjectDep, session: SessionDep, once: OnceDep
) -> CheckpointOut:
    """Register a model of an OpenAI-compatible server; it is asked for one answer first."""
    return once(body, CheckpointOut, lambda: service.out(endpoints.register(session, project, user, body)))


@router.put("/endpoints/{checkpoint_id}")
def change_endpoint(
    checkpoint_id: uuid.UUID, body: EndpointIn, user: Researcher, project: ProjectDep, session: SessionDep
) -> CheckpointOut:
    """Change how an endpoint is asked; where, for what or with what key it is tried first."""
    return service.out(endpoints.change(session, project, user, checkpoint_id, body))


@router.delete("/endpoints/{checkpoint_id}", status_code=204)
def delete_endpoint(checkpoint_id: uuid.UUID, user: Researcher, project: ProjectDep, session: SessionDep) -> None:
    """Forget an endpoint that has neither answered nor judged."""
    endpoints.delete(session, project, user, checkpoint_id)


@router.post("/checkpoints/{checkpoint_id}/test")
def test_endpoint(
    checkpoint_id: uuid.UUID, user: Researcher, project: ProjectDep, session: SessionDep
) -> EndpointTestOut:
    """Ask a registered endpoint for one answer."""
    return endpoints.test(session, project, user, checkpoint_id)


@router.get("/hub/models")
def look_at_hub_model(
    user: Researcher,
    project: ProjectDep,
    session: SessionDep,
    hub_id: Annotated[str, Query(pattern=HUB_ID)],
    revision: Annotated[str, Query(pattern=REVISION)] = "main",
    secret: Annotated[SecretName | None, Query()] = None,
) -> HubModelOut:
    """What a hub says of a model before it is downloaded: license, size by file, access, room on the disk."""
    return preview.look(session, project.id, user, hub_id, revision, secret)


@router.post("/fetches", status_code=202)
def fetch(body: FetchIn, user: Researcher, project: ProjectDep, session: SessionDep, once: OnceDep) -> FetchOut:
    """Download a model from the hub and register it."""
    if body.chat_template is not None:
        templates.check(body.chat_template)
    return once(body, FetchOut, lambda: fetches.request(session, project, user, body))


@router.get("/fetches")
def list_fetches(
    _: Researcher, project: ProjectDep, session: SessionDep, cursor: Cursor = None, limit: Limit = 20
) -> Page[FetchOut]:
    """Downloads, newest first."""
    rows, following = fetches.page(session, project, cursor, limit)
    return Page(items=[FetchOut.model_validate(row) for row in rows], next_cursor=following)


@router.get("/fetches/{fetch_id}")
def get_fetch(fetch_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> FetchOut:
    """One download."""
    return FetchOut.model_validate(fetches.find(session, project, fetch_id))


@router.post("/fetches/{fetch_id}/cancel")
def cancel_fetch(fetch_id: uuid.UUID, _: Researcher, project: ProjectDep, session: SessionDep) -> FetchOut:
    """Stop a download; nothing of it is kept."""
    return FetchOut.model_validate(fetches.cancel(session, project, fetch_id))


@router.post("/fetches/{fetch_id}/resume", status_code=202)
def resume_fetch(
    fetch_id: uuid.UUID, body: ResumeIn, _: Researcher, project: ProjectDep, session: SessionDep
) -> FetchOut:
    """Let a download that failed or was cancelled go on; what has arrived is not fetched again."""
    return FetchOut.model_validate(fetches.resume(session, project, fetch_id, body))
