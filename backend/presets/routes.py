"""The route of presets."""

from fastapi import APIRouter

from backend.deps import ProjectDep, Researcher, SessionDep
from backend.presets import service
from backend.presets.schemas import PresetsOut

router = APIRouter(tags=["presets"])


@router.get("/presets")
def get_presets(_: Researcher, project: ProjectDep, session: SessionDep) -> PresetsOut:
    """Models and data to start with, what this machine has, and which models it can train."""
    return service.read(session, project)
