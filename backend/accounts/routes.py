"""Routes of people: signing in, passwords, tokens, and the admin's list."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from backend.accounts import service
from backend.accounts.limit import SignInLimit
from backend.accounts.schemas import (
    NewPasswordOut,
    NewTokenOut,
    NewUserOut,
    Page,
    PasswordIn,
    SignInIn,
    TokenIn,
    TokenOut,
    UserIn,
    UserOut,
    UserPatch,
)
from backend.deps import COOKIE, Admin, CurrentUser, SessionDep
from backend.settings import get_settings

router = APIRouter(tags=["accounts"])


@router.post("/session")
def sign_in(
    body: SignInIn, request: Request, response: Response, session: SessionDep, limit: Annotated[SignInLimit, Depends()]
) -> UserOut:
    """Open a browser session."""
    settings = get_settings()
    with limit.guard(body.name, request.client.host if request.client else "unknown"):
        user, token = service.sign_in(session, body.name, body.password)
    response.set_cookie(
        COOKIE,
        token,
        max_age=settings.session_hours * 3600,
        httponly=True,
        samesite="lax",
        secure=settings.secure_cookies,
        path="/",
    )
    return UserOut.model_validate(user)


@router.delete("/session", status_code=204)
def sign_out(request: Request, response: Response, session: SessionDep) -> None:
    """Close this browser session."""
    token = request.cookies.get(COOKIE)
    if token:
        service.sign_out(session, token)
    response.delete_cookie(COOKIE, path="/")


@router.get("/me")
def me(user: CurrentUser) -> UserOut:
    """Who is signed in."""
    return UserOut.model_validate(user)


@router.post("/me/password", status_code=204)
def change_password(body: PasswordIn, user: CurrentUser, session: SessionDep, response: Response) -> None:
    """Change the own password; every browser session of the person ends, API tokens stay."""
    service.set_password(session, user, body.old, body.new)
    response.delete_cookie(COOKIE, path="/")


@router.delete("/me/sessions", status_code=204)
def sign_out_everywhere(user: CurrentUser, session: SessionDep, response: Response) -> None:
    """End every browser session of the person, this one too; tokens stay."""
    service.end_sessions(session, user)
    response.delete_cookie(COOKIE, path="/")


@router.get("/me/tokens")
def list_tokens(user: CurrentUser, session: SessionDep) -> Page[TokenOut]:
    """The own API tokens, newest first."""
    return Page(items=[TokenOut.model_validate(token) for token in service.tokens(session, user)])


@router.post("/me/tokens", status_code=201)
def add_token(body: TokenIn, user: CurrentUser, session: SessionDep) -> NewTokenOut:
    """A new API token; its text is shown once."""
    token, secret = service.add_token(session, user, body.name)
    return NewTokenOut(**TokenOut.model_validate(token).model_dump(), token=secret)


@router.delete("/me/tokens/{token_id}", status_code=204)
def revoke_token(token_id: uuid.UUID, user: CurrentUser, session: SessionDep) -> None:
    """Afterwards the token opens nothing."""
    service.revoke_token(session, user, token_id)


@router.get("/users")
def list_users(_: Admin, session: SessionDep) -> Page[UserOut]:
    """Everybody."""
    return Page(items=[UserOut.model_validate(user) for user in service.people(session)])


@router.post("/users", status_code=201)
def add_user(body: UserIn, _: Admin, session: SessionDep) -> NewUserOut:
    """Add a person; the password is shown once."""
    user, password = service.add(session, body.name, body.role)
    return NewUserOut(**UserOut.model_validate(user).model_dump(), password=password)


@router.patch("/users/{user_id}")
def change_user(user_id: uuid.UUID, body: UserPatch, _: Admin, session: SessionDep) -> UserOut:
    """Change a role, or close or reopen an account."""
    return UserOut.model_validate(service.change(session, service.find(session, user_id), body.role, body.active))


@router.post("/users/{user_id}/password-reset")
def reset_password(user_id: uuid.UUID, _: Admin, session: SessionDep) -> NewPasswordOut:
    """A random password for somebody who lost theirs; shown once. Their sessions end, their API tokens are revoked."""
    return NewPasswordOut(password=service.reset_password(session, service.find(session, user_id)))
