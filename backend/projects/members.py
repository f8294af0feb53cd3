"""Who is in a project: the project of a request, members, roles, leaving."""

import uuid
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from sqlalchemy import Row, Select, Uuid, and_, bindparam, func, select, update
from sqlalchemy.orm import Session

from backend.accounts import service as accounts
from backend.accounts.models import ApiToken, Role, SignIn, User
from backend.errors import Conflict, NotAllowed, NotFound
from backend.evaluations.models import Battle
from backend.labels.models import Lease
from backend.projects.models import Membership, Project
from backend.work import ENDED, request_stop

# An open project before an archived one, one's own before one that an admin may enter besides, the oldest first.
FIRST = Project.archived_at.is_not(None), Membership.id.asc().nulls_last(), Project.id


class NotAMember(NotAllowed):
    title = "Not in this project"


class LastOwner(Conflict):
    title = "Last owner"


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
    query = _query(anybody=user.admin, named=wanted is not None, lock=lock and not user.admin)
    row = session.execute(query, {"user": user.id, "wanted": wanted}).first()
    return Place(row[0], Role.admin if user.admin else row[1]) if row else None


@cache  # every request asks it: it is written once
def _query(*, anybody: bool, named: bool, lock: bool) -> Select[Project, Role]:
    own = and_(Membership.project_id == Project.id, Membership.user_id == bindparam("user", type_=Uuid))
    query = select(Project, Membership.role).join(Membership, own, isouter=anybody)
    query = query.where(Project.deleted_at.is_(None)).limit(1)
    if named:
        query = query.where(Project.id == bindparam("wanted", type_=Uuid))
    else:
        query = query.order_by(*FIRST)
    return query.with_for_update(read=True, of=Membership) if lock else query


def by_cookie(session: Session, token: str, named: str | None) -> tuple[User, Place] | None:
    """Who has the browser session of a cookie, and their place as `place` locks it, in one statement; None where there
    is no such place, and for an admin, whom every project is open to."""
    wanted = _uuid(named) if named else None
    if named and wanted is None:
        return None
    query = _query_by_cookie(named=wanted is not None)
    row = session.execute(query, {"hash": accounts.digest(token), "wanted": wanted}).first()
    user = accounts.in_use(row[0]) if row else None
    return None if row is None or user is None or user.admin else (user, Place(row[1], row[2]))


@cache
def _query_by_cookie(*, named: bool) -> Select[SignIn, Project, Role]:
    query = (
        select(SignIn, Project, Membership.role)
        .join(Membership, Membership.user_id == SignIn.user_id)
        .join(Project, Project.id == Membership.project_id)
        .where(SignIn.token_hash == bindparam("hash"), Project.deleted_at.is_(None))
        .limit(1)
    )
    query = query.where(Project.id == bindparam("wanted", type_=Uuid)) if named else query.order_by(*FIRST)
    return query.with_for_update(read=True, of=Membership)


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


def manage(session: Session, project_id: uuid.UUID) -> None:
    """Afterwards nobody else changes the project's members until the transaction ends; those who work wait for nobody.

    To be taken before any membership is locked.
    """
    session.execute(select(Project.id).where(Project.id == project_id).with_for_update(key_share=True))


def page(session: Session, project: Project) -> Sequence[Row[Membership, User]]:
    """Everybody in the project with their account, by name."""
    query = select(Membership, User).join(User, User.id == Membership.user_id)
    return session.execute(query.where(Membership.project_id == project.id).order_by(User.name)).all()


def find(session: Session, project: Project, user_id: uuid.UUID) -> Membership:
    """That the person is in the project, locked: what they are just changing there is done.  Raises NotFound."""
    query = select(Membership).where(Membership.project_id == project.id, Membership.user_id == user_id)
    found = session.scalars(query.with_for_update()).first()
    if found is None:
        raise NotFound.of("member")
    return found


def change(session: Session, project: Project, user_id: uuid.UUID, role: Role) -> Membership:
    """Give a member another role.  Raises NotFound, LastOwner."""
    found = find(session, project, user_id)
    if role is not Role.owner:
        _not_the_last_owner(session, project, found)
    found.role = role
    return found


def remove(session: Session, project: Project, user_id: uuid.UUID) -> None:
    """Afterwards the person is out: pairs that they hold are free for others, what they are having answered in the
    arena stops, their tokens of this project are revoked. What they labelled stays.  Raises NotFound, LastOwner."""
    found = find(session, project, user_id)
    _not_the_last_owner(session, project, found)
    session.delete(found)
    session.flush()
    held = Lease.project_id == project.id, Lease.annotator_id == user_id, Lease.expires_at > func.now()
    session.execute(update(Lease).where(*held).values(expires_at=func.now()))
    asked = Battle.project_id == project.id, Battle.created_by == user_id, Battle.state.not_in(ENDED)
    for battle in session.scalars(select(Battle).where(*asked).with_for_update()):
        request_stop(battle)
    own = ApiToken.user_id == user_id, ApiToken.project_id == project.id, ApiToken.revoked_at.is_(None)
    session.execute(update(ApiToken).where(*own).values(revoked_at=func.now()))


def _not_the_last_owner(session: Session, project: Project, leaving: Membership) -> None:
    if leaving.role is not Role.owner:
        return
    others = Membership.project_id == project.id, Membership.role == Role.owner, Membership.id != leaving.id
    if not session.scalar(select(func.count()).select_from(Membership).where(*others)):
        raise LastOwner(
            "A project has an owner at all times; this is the only one.", remedy="Make another owner first."
        )
