"""What routes ask for in their signatures: a session, the caller, a role, the project, doing a thing once."""

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.accounts import service as accounts
from backend.accounts.models import IdempotencyKey, Role, User
from backend.db import transaction
from backend.errors import Conflict, NotAllowed, SignedOut
from backend.projects import service as projects
from backend.projects.models import Project

COOKIE = "plumbline_session"
O = TypeVar("O", bound=BaseModel)  # noqa: E741


def get_session() -> Iterator[Session]:
    """One transaction a request, committed before the answer is sent (`scope="function"`)."""
    with transaction() as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session, scope="function")]


def bearer(request: Request) -> str | None:
    """The token of an `Authorization: Bearer` header."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def find_user(session: Session, request: Request) -> User | None:
    """Who is asking: by bearer token when there is one, else by cookie."""
    token = bearer(request)
    if token is not None:
        return accounts.by_token(session, token)
    cookie = request.cookies.get(COOKIE)
    return accounts.by_cookie(session, cookie) if cookie else None


def current_user(session: SessionDep, request: Request) -> User:
    user = find_user(session, request)
    if user is None:
        if bearer(request) is not None:
            raise SignedOut("This API token is wrong or was revoked.", "Make a new one on the Account page.")
        raise SignedOut
    return user


CurrentUser = Annotated[User, Depends(current_user)]


def researcher(user: CurrentUser) -> User:
    if user.role == Role.annotator:
        raise NotAllowed("Annotators label and vote; this needs a researcher.", remedy="Ask an admin for the role.")
    return user


def admin(user: CurrentUser) -> User:
    if user.role != Role.admin:
        raise NotAllowed("This needs an admin.", remedy="Ask an admin.")
    return user


Researcher = Annotated[User, Depends(researcher)]
Admin = Annotated[User, Depends(admin)]


def current_project(session: SessionDep, user: CurrentUser) -> Project:  # noqa: ARG001  (signed in first)
    return projects.default(session)


ProjectDep = Annotated[Project, Depends(current_project)]


class KeyReused(Conflict):
    title = "Idempotency key reused"


class Once:
    """Does a creating request once, however often it is sent with the same `Idempotency-Key`."""

    def __init__(
        self,
        session: SessionDep,
        user: CurrentUser,
        request: Request,
        idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
    ) -> None:
        self.session, self.user, self.key = session, user, idempotency_key
        self.route = f"{request.method} {request.url.path}"

    def __call__(self, body: BaseModel | None, out: type[O], create: Callable[[], Any]) -> O:
        """`create()` as an `out`, or the stored answer of the first time."""
        if self.key is None:
            return out.model_validate(create())
        lock = int.from_bytes(hashlib.sha256(f"{self.user.id} {self.key}".encode()).digest()[:8], signed=True)
        self.session.execute(select(func.pg_advisory_xact_lock(lock)))
        payload = json.dumps([self.route, body.model_dump(mode="json") if body else None], sort_keys=True)
        request_hash = hashlib.sha256(payload.encode()).hexdigest()
        stored = self.session.scalars(
            select(IdempotencyKey).where(IdempotencyKey.user_id == self.user.id, IdempotencyKey.key == self.key)
        ).first()
        if stored is not None:
            if stored.request_hash != request_hash:
                raise KeyReused("This Idempotency-Key was used for another request.", remedy="Send a fresh key.")
            return out.model_validate(stored.body)
        result = out.model_validate(create())
        self.session.add(
            IdempotencyKey(
                user_id=self.user.id, key=self.key, request_hash=request_hash, body=result.model_dump(mode="json")
            )
        )
        return result


OnceDep = Annotated[Once, Depends()]
