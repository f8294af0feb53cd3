"""Routes of invitations: an owner's list of them, and what their link does for whoever holds it."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from backend.accounts import service as accounts
from backend.accounts.models import User
from backend.accounts.routes import open_door, remember_project
from backend.audit import service as audit
from backend.deps import Lasting, Owner, ProjectDep, SessionDep, identify, unlimited
from backend.errors import Invalid, SignedOut
from backend.paging import Page
from backend.projects import invitations
from backend.projects.invitations import InvitationLimit
from backend.projects.models import Invitation
from backend.projects.schemas import (
    AcceptedOut,
    AcceptIn,
    InvitationIn,
    InvitationOut,
    InvitationTokenIn,
    NewInvitationOut,
    OfferOut,
)

router = APIRouter()
LimitDep = Annotated[InvitationLimit, Depends()]


class NameAndPassword(Invalid):
    title = "Name and password"


def _out(row: Invitation, made: str | None, came: str | None) -> InvitationOut:
    return InvitationOut(
        id=row.id,
        hint=row.hint,
        role=row.role,
        state=invitations.state(row),
        created_at=row.created_at,
        created_by=made,
        expires_at=row.expires_at,
        accepted_by=came,
        accepted_at=row.accepted_at,
    )


@router.get("/invitations")
def list_invitations(_: Owner, project: ProjectDep, session: SessionDep) -> Page[InvitationOut]:
    """The project's newest invitations."""
    return Page(items=[_out(*row) for row in invitations.page(session, project)])


@router.post("/invitations", status_code=201)
def invite(body: InvitationIn, user: Owner, _: Lasting, project: ProjectDep, session: SessionDep) -> NewInvitationOut:
    """A link that lets one person in; it is shown once and sent to nobody. A token with limits makes none: whoever
    came in by it would have no limits."""
    made, token = invitations.invite(session, project, user, body)
    audit.record(session, user, project.id, "invite", "member", made.id, {"hint": body.hint, "role": body.role})
    return NewInvitationOut(**_out(made, user.name, None).model_dump(), token=token)


@router.delete("/invitations/{invitation_id}", status_code=204)
def revoke(invitation_id: uuid.UUID, user: Owner, project: ProjectDep, session: SessionDep) -> None:
    """Afterwards the link opens nothing."""
    found = invitations.revoke(session, project, invitation_id)
    audit.record(session, user, project.id, "revoke", "invitation", found.id, {"hint": found.hint})


def visitor(request: Request, session: SessionDep) -> User | None:
    """Who holds the link, if they are signed in."""
    try:
        return identify(session, request).user
    except SignedOut:
        return None


@router.post("/invitation/look")
def look(
    body: InvitationTokenIn,
    request: Request,
    session: SessionDep,
    limit: LimitDep,
    user: Annotated[User | None, Depends(visitor)],
) -> OfferOut:
    """What a link opens, before it is used."""
    with limit.guard(request.client.host if request.client else "unknown"):
        offer = invitations.look(session, body.token)
    return OfferOut(
        project=offer.project.name,
        role=offer.invitation.role,
        hint=offer.invitation.hint,
        invited_by=offer.inviter.name,
        expires_at=offer.invitation.expires_at,
        signed_in_as=user.name if user else None,
    )


@router.post("/invitation/accept")
def accept(
    body: AcceptIn,
    request: Request,
    response: Response,
    session: SessionDep,
    limit: LimitDep,
) -> AcceptedOut:
    """Join the project: with a new account, or as the person signed in. Signs the browser in, in that project."""
    with limit.guard(request.client.host if request.client else "unknown"):
        invitations.look(session, body.token, lock=True)
    user = _joining(body, request, session, response)
    offer = invitations.accept(session, body.token, user)
    remember_project(response, offer.project.id)
    role = offer.invitation.role
    audit.record(session, user, offer.project.id, "join", "member", user.id, {"name": user.name, "role": role})
    return AcceptedOut(project_id=offer.project.id, project=offer.project.name, role=role, name=user.name)


def _joining(body: AcceptIn, request: Request, session: SessionDep, response: Response) -> User:
    """The person of the request, or a new one, whose browser is then signed in."""
    if body.name is None and body.password is None:
        return unlimited(identify(session, request))
    if body.name is None or body.password is None:
        missing = "name" if body.name is None else "password"
        raise NameAndPassword("A new account needs a name and a password.", field=missing, remedy="Give both.")
    user, _ = accounts.add(session, body.name, password=body.password)
    open_door(response, accounts.open_session(session, user))
    return user
