"""Projects: there is one, "Tour", until membership arrives."""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from backend.projects.models import Project

DEFAULT = "Tour"


def default(session: Session) -> Project:
    """The default project, made when it is missing."""
    found = session.scalars(select(Project).where(Project.name == DEFAULT)).first()
    if found is None:
        session.execute(insert(Project).values(name=DEFAULT).on_conflict_do_nothing())
        found = session.scalars(select(Project).where(Project.name == DEFAULT)).one()
    return found
