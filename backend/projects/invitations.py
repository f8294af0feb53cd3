"""Invitations: a link that lets one person into a project, once, while whoever made it may still invite."""

import secrets
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Literal, NamedTuple

from sqlalchemy import Row, select
from sqlalchemy.orm import Session, aliased

from backend.accounts import service as accounts
from backend.accounts.limit import MINUTES, Counted, limited
from backend.accounts.models import Role, User
from backend.errors import AppError, Conflict, NotFound, TooMany
from backend.projects import members
from backend.projects.models import Invitation, Membership, Project
from backend.projects.schemas import InvitationIn
from backend.settings import get_settings
from backend.work import now

MOST_OPEN = 200
State = Literal["open", "accepted", "revoked", "expired"]


class UnknownInvitation(NotFound):
    title = "No such invitation"


class InvitationClosed(AppError):
    status = 410


class InvitationUsed(InvitationClosed):
    title = "Invitation already used"


class InvitationRevoked(InvitationClosed):
    title = "Invitation revoked"


class InvitationExpired(InvitationClosed):
    title = "Invitation expired"


class TooManyOpen(Conflict):
    title = "Too many open invitations"


class InvitationLimit:
    """How often a link may be wrong, by address."""

    @contextmanager
    def guard(self, address: str) -> Iterator[None]:
        """Raises TooMany before the block runs."""
        counted: Counted = [(get_settings().sign_in_attempts, ("invitation-address", address))]
        said = f"Too many wrong links; wait {MINUTES} minutes."
        with limited(counted, UnknownInvitation, TooMany(said, remedy="Ask for a new invitation.")):
            yield


class Offer(NamedTuple):
    """An invitation that opens, into what, and who made it."""

    invitation: Invitation
    project: Project
    inviter: User


def state(invitation: Invitation) -> State:
    """What has become of it."""
    if invitation.accepted_at is not None:
        return "accepted"
    if invitation.revoked_at is not None:
        return "revoked"
    return "expired" if invitation.expires_at < now() else "open"


def page(session: Session, project: Project, *, limit: int = MOST_OPEN) -> Sequence[Row[Invitation, str, str]]:
    """The newest invitations with the names of who made and who accepted them."""
    made, came = aliased(User), aliased(User)
    query = (
        select(Invitation, made.name, came.name)
        .join(made, made.id == Invitation.created_by, isouter=True)
        .join(came, came.id == Invitation.accepted_by, isouter=True)
        .where(Invitation.project_id == project.id)
        .order_by(Invitation.id.desc())
        .limit(limit)
    )
    return session.execute(query).all()


def invite(session: Session, project: Project, user: User, body: InvitationIn) -> tuple[Invitation, str]:
    """A new invitation, and the token of its link, which is told this once.  Raises TooManyOpen."""
    unused = Invitation.accepted_at.is_(None), Invitation.revoked_at.is_(None), Invitation.expires_at > now()
    known = select(Invitation.id).where(Invitation.project_id == project.id, *unused).limit(MOST_OPEN)
    if len(session.scalars(known).all()) >= MOST_OPEN:
        raise TooManyOpen(f"{MOST_OPEN} invitations are open.", remedy="Revoke those that nobody will use.")
    token = secrets.token_urlsafe(32)
    made = Invitation(
        project_id=project.id,
        hint=body.hint,
        role=body.role,
        token_hash=accounts.digest(token),
        expires_at=now() + timedelta(days=body.days),
        created_by=user.id,
    )
    session.add(made)
    session.flush()
    return made, token


def revoke(session: Session, project: Project, invitation_id: uuid.UUID) -> Invitation:
    """Afterwards the link opens nothing; what it has let in stays.  Raises NotFound, InvitationUsed."""
    found = session.get(Invitation, invitation_id, with_for_update=True)
    if found is None or found.project_id != project.id:
        raise NotFound.of("invitation")
    if found.accepted_at is not None:
        raise InvitationUsed("This invitation was accepted.", remedy="Remove the member instead.")
    found.revoked_at = found.revoked_at or now()
    return found


def look(session: Session, token: str, *, lock: bool = False) -> Offer:
    """What the link of this token opens.  Raises UnknownInvitation and, saying why, InvitationClosed."""
    query = select(Invitation).where(Invitation.token_hash == accounts.digest(token))
    found = session.scalars(query.with_for_update() if lock else query).first()
    if found is None:
        raise UnknownInvitation(
            "This link is not an invitation.", remedy="See that the whole link was copied, or ask for a new one."
        )
    project = session.get_one(Project, found.project_id)
    inviter = session.get(User, found.created_by) if found.created_by else None
    _open(found)
    if inviter is None or not _may_invite(session, project, inviter):
        raise InvitationRevoked("Whoever made this invitation may no longer invite.", remedy="Ask for a new one.")
    if project.deleted_at is not None or project.archived_at is not None:
        raise InvitationRevoked("The project of this invitation is closed.", remedy="Ask whoever sent it to you.")
    return Offer(found, project, inviter)


def _open(invitation: Invitation) -> None:
    match state(invitation):
        case "accepted":
            raise InvitationUsed("Somebody has used this invitation.", remedy="If that was you, sign in.")
        case "revoked":
            raise InvitationRevoked("This invitation was taken back.", remedy="Ask whoever sent it to you.")
        case "expired":
            raise InvitationExpired("This invitation has expired.", remedy="Ask for a new one.")


def _may_invite(session: Session, project: Project, user: User) -> bool:
    if not user.active:
        return False
    own = Membership.project_id == project.id, Membership.user_id == user.id, Membership.role == Role.owner
    return user.admin or session.scalar(select(Membership.id).where(*own)) is not None


def accept(session: Session, token: str, user: User) -> Offer:
    """Afterwards the person is in the project and the link is used.  Raises what `look` does, and AlreadyMember."""
    offer = look(session, token, lock=True)
    members.join(session, offer.project.id, user, offer.invitation.role)
    offer.invitation.accepted_by, offer.invitation.accepted_at = user.id, now()
    return offer
