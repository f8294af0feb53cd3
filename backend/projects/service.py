"""Projects: the first one, making, naming, archiving and deleting them."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.projects.models import Project

DEFAULT = "Tour"


def default(session: Session) -> Project:
    """The oldest project; "Tour", made now, when there is none."""
    found = session.scalars(select(Project).where(Project.deleted_at.is_(None)).order_by(Project.id).limit(1)).first()
    if found is None:
        found = Project(name=DEFAULT)
        session.add(found)
        session.flush()
    return found
