"""Projects: the first one, making, naming, archiving and deleting them."""

import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.accounts.models import ApiToken, Role, User
from backend.db import Base
from backend.errors import Conflict, Invalid, NotAllowed, NotFound
from backend.projects import members
from backend.projects.members import Place
from backend.projects.models import Project
from backend.work import ENDED, Work, now, request_stop

DEFAULT = "Tour"


class NameTaken(Conflict):
    title = "Name taken"


class NotConfirmed(Invalid):
    title = "Not confirmed"


def default(session: Session) -> Project:
    """The oldest project; "Tour", made now, when there is none."""
    found = session.scalars(select(Project).where(Project.deleted_at.is_(None)).order_by(Project.id).limit(1)).first()
    if found is None:
        found = Project(name=DEFAULT)
        session.add(found)
        session.flush()
    return found


def create(session: Session, user: User, name: str) -> Place:
    """A new project, empty, with the person as its owner. Admins and whoever owns a project already may make one.

    Raises NotAllowed, NameTaken.
    """
    own = members.places(session, user, None)
    if not any(place.role.includes(Role.owner) for place in own) and not user.admin:
        raise NotAllowed("Owners of a project and admins make projects.", remedy="Ask one of them.")
    _free(own, name)
    project = Project(name=name, created_by=user.id)
    session.add(project)
    session.flush()
    members.join(session, project.id, user, Role.owner)
    session.refresh(project)
    return Place(project, Role.admin if user.admin else Role.owner)


def find(session: Session, user: User, token: ApiToken | None, project_id: uuid.UUID) -> Place:
    """The project, if the person is in it.  Raises NotFound."""
    try:
        return members.place(session, user, token, str(project_id), lock=False)
    except members.NotAMember:
        raise NotFound.of("project") from None


def rename(session: Session, user: User, project: Project, name: str) -> None:
    """Raises NameTaken."""
    _free([place for place in members.places(session, user, None) if place.project.id != project.id], name)
    project.name = name


def archive(project: Project, archived: bool) -> None:
    """Afterwards the project can be read only, or worked in again. What runs in it goes on to its end."""
    project.archived_at = (project.archived_at or now()) if archived else None


def delete(session: Session, project: Project, confirmed: str) -> None:
    """Afterwards nobody is in the project, its work is asked to stop, and the sweep removes its files and rows.

    Raises NotConfirmed unless `confirmed` is the project's name.
    """
    if confirmed != project.name:
        raise NotConfirmed("That is not the project's name.", field="name", remedy="Type the name as it is written.")
    project.deleted_at = now()
    stop_all(session, project)


def stop_all(session: Session, project: Project) -> None:
    """Afterwards everything that is queued in the project is cancelled, and what is active is asked to stop."""
    for table in work_tables():
        own = table.project_id == project.id, table.state.not_in(ENDED)  # type: ignore[attr-defined]
        for row in session.scalars(select(table).where(*own).with_for_update()):
            request_stop(row)


def work_tables() -> list[type[Work]]:
    """Every table of work that belongs to a project."""
    tables = (mapper.class_ for mapper in Base.registry.mappers)
    return [table for table in tables if issubclass(table, Work) and hasattr(table, "project_id")]


def _free(own: list[Place], name: str) -> None:
    """Two projects that a person sees have different names; what others call theirs is told to nobody."""
    if any(place.project.name.casefold() == name.casefold() for place in own):
        raise NameTaken(f"You are in a project called “{name}” already.", field="name", remedy="Choose another name.")
