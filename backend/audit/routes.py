"""Routes of the audit log: read, never written or changed."""

import uuid
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, StringConstraints

from backend.audit import reading, service
from backend.audit.reading import FileFormat, Filter
from backend.audit.schemas import ActionsOut, AuditOut
from backend.datasets import transfers
from backend.db import transaction
from backend.deps import Owner, ProjectDep, SessionDep
from backend.errors import NotAllowed
from backend.paging import Cursor, Limit, Page

router = APIRouter(tags=["audit"])
Word = Annotated[str, StringConstraints(max_length=64)]
Scope = Literal["project", "instance"]


def project_of(user: Owner, project: ProjectDep, scope: Scope = "project") -> uuid.UUID | None:
    """The project whose events are asked for; None for the instance's, which is an admin's to ask."""
    if scope == "project":
        return project.id
    if not user.admin:
        raise NotAllowed("The log of the whole instance needs an admin.", remedy="Ask for the log of your project.")
    return None


ScopeDep = Annotated[uuid.UUID | None, Depends(project_of)]


def chosen(
    project_id: ScopeDep,
    action: Word | None = None,
    noun: Word | None = None,
    user: uuid.UUID | None = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
) -> Filter:
    return Filter(project_id, action, noun, user, since, until)


FilterDep = Annotated[Filter, Depends(chosen)]


@router.get("/audit")
def list_events(
    filter: FilterDep,
    session: SessionDep,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[AuditOut]:
    """Who gave away, deleted or changed what, newest first; of the project, or for an admin of the whole instance."""
    found, following = reading.page(session, filter, cursor, limit)
    return Page(items=found, next_cursor=following)


@router.get("/audit/kinds")
def list_kinds(project_id: ScopeDep, session: SessionDep) -> ActionsOut:
    """What the log can be filtered by."""
    return reading.actions(session, project_id)


@router.get(
    "/audit/file",
    response_class=StreamingResponse,
    responses=transfers.a_file(*reading.MEDIA_TYPE.values()),
)
def download(user: Owner, filter: FilterDep, session: SessionDep, format: FileFormat = "csv") -> StreamingResponse:
    """The chosen events as a file; taking it is an event itself."""
    service.record(session, user, filter.project_id, "export", "audit", None, {"format": format})
    return StreamingResponse(
        reading.stream(transaction, filter, format),
        media_type=reading.MEDIA_TYPE[format],
        headers=transfers.attachment(f"audit.{format}"),
    )
