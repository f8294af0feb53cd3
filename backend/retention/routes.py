"""Routes of the rules by which a project lets go what it no longer needs."""

from fastapi import APIRouter

from backend.deps import Owner, ProjectDep, Researcher, SessionDep
from backend.retention import service
from backend.retention.schemas import RetentionPreviewOut, RulesIn, RulesOut

router = APIRouter(tags=["retention"])


@router.get("/retention")
def read_rules(_: Researcher, project: ProjectDep, session: SessionDep) -> RulesOut:
    """What the project keeps, and when that is applied next."""
    return service.read(session, project)


@router.put("/retention")
def set_rules(body: RulesIn, user: Owner, project: ProjectDep, session: SessionDep) -> RulesOut:
    """Set what the project keeps. Rules are first applied a day later, and then every day."""
    return service.write(session, project, user, body)


@router.post("/retention/preview")
def preview_rules(body: RulesIn, _: Researcher, project: ProjectDep, session: SessionDep) -> RetentionPreviewOut:
    """What rules would remove if they were applied now; nothing is changed."""
    return service.preview(session, project.id, body)
