"""The route of Home."""

from fastapi import APIRouter

from backend.deps import SessionDep
from backend.home import service
from backend.home.schemas import HomeOut
from backend.labels.caller import CallerDep

router = APIRouter(tags=["home"])


@router.get("/home")
def home(caller: CallerDep, session: SessionDep) -> HomeOut:
    """The loop's live numbers, as far as the caller may see them."""
    return service.read(session, service.Visitor(caller.user, caller.role, caller.project_id, caller.midnight))
