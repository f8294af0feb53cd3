"""Who is in a project: the project of a request, members, roles, leaving."""

import uuid
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from backend.accounts.models import ApiToken, Role, User
from backend.errors import Conflict, NotAllowed
from backend.projects.models import Membership, Project

# An open project before an archived one, one's own before one that an admin may enter besides, the oldest first.
FIRST = Project.archived_at.is_not(None), Membership.id.asc().nulls_last(), Project.id


class NotAMember(NotAllowed):
    title = "Not in this project"


class AlreadyMember(Conflict):
    title = "Already a member"


class Place(NamedTuple):
    """The project that a request is about, and what the caller may do in it."""

    project: Project
    role: Role


def place(session: Session, user: User, token: ApiToken | None, named: str | None, *, lock: bool) -> Place:
    """The project named (any text), else the token's, else the person's first, and their role in it; one query.

    `lock` keeps the membership as it is until the transaction ends: whoever removes a member waits for what the
    member is just changing, and what comes after that is refused.  Raises NotAMember.
    """
    bound = token.project_id if token else None
    wanted = _uuid(named) if named else bound
    if (named and wanted is None) or (bound and wanted != bound):
        raise _stranger()
    found = _find(session, user, wanted, lock=lock)
    if found is None:
        raise _stranger() if wanted else _nowhere()
    return _under(token, found)


def _find(session: Session, user: User, wanted: uuid.UUID | None, *, lock: bool) -> Place | None:
    own = and_(Membership.project_id == Project.id, Membership.user_id == user.id)
    query = select(Project, Membership.role).join(Membership, own, isouter=user.admin)
    query = query.where(Project.deleted_at.is_(None)).limit(1)
    if wanted is not None:
        query = query.where(Project.id == wanted)
    else:
        query = query.order_by(*FIRST)
    if lock and not user.admin:
        query = query.with_for_update(read=True, of=Membership)
    row = session.execute(query).first()
    return Place(row[0], Role.admin if user.admin else row[1]) if row else None


def places(session: Session, user: User, token: ApiToken | None) -> list[Place]:
    """Every project that the person (by this token) is in, the first one first."""
    own = and_(Membership.project_id == Project.id, Membership.user_id == user.id)
    query = select(Project, Membership.role).join(Membership, own, isouter=user.admin)
    query = query.where(Project.deleted_at.is_(None)).order_by(*FIRST)
    if token is not None and token.project_id is not None:
        query = query.where(Project.id == token.project_id)
    rows = session.execute(query)
    return [_under(token, Place(row[0], Role.admin if user.admin else row[1])) for row in rows]


def choose(places: Sequence[Place], named: str | None) -> Place | None:
    """Of all the caller's places the one that `place` would answer; None where it would refuse."""
    wanted = _uuid(named) if named else None
    if named:
        return next((one for one in places if one.project.id == wanted), None)
    return places[0] if places else None


def join(session: Session, project_id: uuid.UUID, user: User, role: Role) -> Membership:
    """Afterwards the person is in the project.  Raises AlreadyMember."""
    session.execute(select(User.id).where(User.id == user.id).with_for_update(key_share=True))
    known = select(Membership.id).where(Membership.project_id == project_id, Membership.user_id == user.id)
    if session.scalar(known):
        raise AlreadyMember(f"{user.name} is in this project already.", remedy="Change the role in the list.")
    made = Membership(project_id=project_id, user_id=user.id, role=role)
    session.add(made)
    session.flush()
    return made


def _under(token: ApiToken | None, found: Place) -> Place:
    """What is left of the role under the token's own."""
    ceiling = token.role if token else None
    return found if ceiling is None or ceiling.includes(found.role) else Place(found.project, ceiling)


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _stranger() -> NotAMember:
    return NotAMember(
        "There is no such project, or you are not (or no longer) a member of it.",
        remedy="What you labelled there is kept. Choose another project, or ask one of its owners.",
    )


def _nowhere() -> NotAMember:
    return NotAMember("You are not in any project.", remedy="Ask an owner of a project for an invitation.")
