"""Routes of people: signing in, passwords, tokens, and the admin's list."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from backend.accounts import service
from backend.accounts.limit import SignInLimit
from backend.accounts.models import ApiToken
from backend.accounts.schemas import (
    MeOut,
    NewPasswordOut,
    NewTokenOut,
    NewUserOut,
    OwnProject,
    PasswordIn,
    ProjectChoice,
    SignInIn,
    TokenIn,
    TokenOut,
    UserIn,
    UserOut,
    UserPatch,
)
from backend.audit import service as audit
from backend.db import transaction
from backend.deps import COOKIE, PROJECT_COOKIE, Admin, IdentityDep, SessionDep, Whole, named_project
from backend.offline import network
from backend.paging import Page
from backend.projects import members
from backend.settings import get_settings

router = APIRouter(tags=["accounts"])


@router.post("/session")
def sign_in(
    body: SignInIn, request: Request, response: Response, session: SessionDep, limit: Annotated[SignInLimit, Depends()]
) -> UserOut:
    """Open a browser session."""
    ip = address(request)
    try:
        with limit.guard(body.name, ip):
            user, token = service.sign_in(session, body.name, body.password)
    except service.WrongPassword:
        with transaction() as own:  # the request's is rolled back. Who is nobody is not named: it may be a password
            audit.record(own, service.named(own, body.name), None, "fail", "sign-in", ip=ip)
        raise
    audit.record(session, user, None, "open", "sign-in", ip=ip)
    open_door(response, token)
    named = request.cookies.get(PROJECT_COOKIE)
    if named and members.choose(members.places(session, user, None), named) is None:
        response.delete_cookie(PROJECT_COOKIE, path="/")  # somebody else's, who used this browser before
    return UserOut.model_validate(user)


def address(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else "unknown"


def open_door(response: Response, token: str) -> None:
    """The browser that gets `response` is signed in by the token of its session."""
    _set_cookie(response, COOKIE, token, get_settings().session_hours * 3600)


def remember_project(response: Response, project_id: uuid.UUID) -> None:
    """Requests of the browser that gets `response` are about the project when they name none."""
    _set_cookie(response, PROJECT_COOKIE, str(project_id), 400 * 24 * 3600)


def _set_cookie(response: Response, name: str, value: str, seconds: int) -> None:
    secure = get_settings().secure_cookies
    response.set_cookie(name, value, max_age=seconds, httponly=True, samesite="lax", secure=secure, path="/")


@router.delete("/session", status_code=204)
def sign_out(request: Request, response: Response, session: SessionDep) -> None:
    """Close this browser session."""
    token = request.cookies.get(COOKIE)
    if token:
        service.sign_out(session, token)
    response.delete_cookie(COOKIE, path="/")
    response.delete_cookie(PROJECT_COOKIE, path="/")


@router.get("/me")
def me(identity: IdentityDep, request: Request, session: SessionDep) -> MeOut:
    """Who is signed in, their projects, and which of them requests like this one are about."""
    own = members.places(session, identity.user, identity.token)
    found = members.choose(own, named_project(request))
    return MeOut(
        **UserOut.model_validate(identity.user).model_dump(),
        network=network(),
        project=_own(found) if found else None,
        projects=[_own(place) for place in own],
    )


def _own(place: members.Place) -> OwnProject:
    project, role = place
    return OwnProject(id=project.id, name=project.name, role=role, archived=project.archived_at is not None)


@router.put("/me/project", status_code=204)
def choose_project(body: ProjectChoice, user: Whole, session: SessionDep, response: Response) -> None:
    """Make a project the one that this browser's requests are about when they name none."""
    found = members.place(session, user, None, str(body.project_id), lock=False)
    remember_project(response, found.project.id)


@router.post("/me/password", status_code=204)
def change_password(body: PasswordIn, user: Whole, session: SessionDep, response: Response) -> None:
    """Change the own password; every browser session of the person ends, API tokens stay."""
    service.set_password(session, user, body.old, body.new)
    audit.record(session, user, None, "change", "password", user.id)
    response.delete_cookie(COOKIE, path="/")


@router.delete("/me/sessions", status_code=204)
def sign_out_everywhere(user: Whole, session: SessionDep, response: Response) -> None:
    """End every browser session of the person, this one too; tokens stay."""
    service.end_sessions(session, user)
    audit.record(session, user, None, "end", "sign-in", user.id)
    response.delete_cookie(COOKIE, path="/")


@router.get("/me/tokens")
def list_tokens(user: Whole, session: SessionDep) -> Page[TokenOut]:
    """The own API tokens, newest first."""
    return Page(items=[TokenOut.model_validate(token) for token in service.tokens(session, user)])


@router.post("/me/tokens", status_code=201)
def add_token(body: TokenIn, user: Whole, identity: IdentityDep, session: SessionDep) -> NewTokenOut:
    """A new API token: of one project, of at most a role, for reading or for feedback only, for some days, if so
    wanted; its text is shown once."""
    if body.project_id is not None:
        members.place(session, user, None, str(body.project_id), lock=False)
    token, secret = service.add_token(session, user, **body.model_dump(), by=identity.token)
    told = {"name": token.name, "begins": token.prefix, "role": token.role, **_limits(token)}
    audit.record(session, user, token.project_id, "create", "token", token.id, told)
    return NewTokenOut(**TokenOut.model_validate(token).model_dump(), token=secret)


def _limits(token: ApiToken) -> dict[str, bool | str]:
    """What the audit log says of a token besides its role."""
    expires = {"expires_at": token.expires_at.isoformat()} if token.expires_at else {}
    only = {"only": token.only} if token.only else {}
    return {**({"read_only": True} if token.read_only else {}), **only, **expires}


@router.delete("/me/tokens/{token_id}", status_code=204)
def revoke_token(token_id: uuid.UUID, user: Whole, session: SessionDep) -> None:
    """Afterwards the token opens nothing."""
    token = service.revoke_token(session, user, token_id)
    audit.record(session, user, token.project_id, "revoke", "token", token.id, {"name": token.name})


@router.get("/users")
def list_users(_: Admin, session: SessionDep) -> Page[UserOut]:
    """Everybody."""
    return Page(items=[UserOut.model_validate(user) for user in service.people(session)])


@router.post("/users", status_code=201)
def add_user(body: UserIn, admin: Admin, session: SessionDep) -> NewUserOut:
    """Add a person, in no project yet; the password is shown once."""
    user, password = service.add(session, body.name, admin=body.admin)
    audit.record(session, admin, None, "create", "person", user.id, {"name": user.name, "admin": user.admin})
    return NewUserOut(**UserOut.model_validate(user).model_dump(), password=password)


@router.patch("/users/{user_id}")
def change_user(user_id: uuid.UUID, body: UserPatch, admin: Admin, session: SessionDep) -> UserOut:
    """Make an admin or no longer one, or close or reopen an account."""
    user = service.change(session, service.find(session, user_id), body.admin, body.active)
    told = {"name": user.name, **body.model_dump(exclude_none=True)}
    audit.record(session, admin, None, "change", "person", user.id, told)
    return UserOut.model_validate(user)


@router.post("/users/{user_id}/password-reset")
def reset_password(user_id: uuid.UUID, admin: Admin, session: SessionDep) -> NewPasswordOut:
    """A random password for somebody who lost theirs; shown once. Their sessions end, their API tokens are revoked."""
    user = service.find(session, user_id)
    audit.record(session, admin, None, "reset", "password", user.id, {"name": user.name})
    return NewPasswordOut(password=service.reset_password(session, user))
