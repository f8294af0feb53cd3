"""What routes ask for in their signatures: a session, the caller, a role, the project, doing a thing once."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from anyio import CancelScope, CapacityLimiter, to_thread
from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.accounts import service as accounts
from backend.accounts.models import ApiToken, IdempotencyKey, Role, User
from backend.db import CONNECTIONS, transaction
from backend.errors import Conflict, NotAllowed, SignedOut
from backend.projects import members
from backend.projects.members import Place
from backend.projects.models import Project

COOKIE = "plumbline_session"
PROJECT_COOKIE = "plumbline_project"
PROJECT_HEADER = "plumbline-project"
SPARE = 6
"""Connections for what opens a transaction of its own beside the request's: an entry of the audit log, a download."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
O = TypeVar("O", bound=BaseModel)  # noqa: E741


_AT_ONCE: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def get_session() -> AsyncIterator[Session]:
    """One transaction a request, committed before the answer is sent (`scope="function"`).

    No more requests have one than there are connections; the others wait here, where they hold no thread. Were they to
    wait for a connection in threads, those who have one would find no thread to go on in, and nobody would end.
    """
    async with turn():
        work = transaction()
        session = work.__enter__()  # asks nothing of the database yet, so that no thread is needed
        try:
            yield session
        except BaseException as error:
            with CancelScope(shield=True):
                await _apart(work.__exit__, type(error), error, error.__traceback__)
            raise
        if not session.in_transaction():  # `answered` has ended it
            work.__exit__(None, None, None)
            return
        with CancelScope(shield=True):
            await _apart(work.__exit__, None, None, None)


def turn() -> asyncio.Semaphore:
    """What a request holds while it has a connection."""
    return _AT_ONCE.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(CONNECTIONS - SPARE))


async def _apart(end: Callable[..., object], *told: object) -> None:
    """Call it in a thread that is there for it alone: what ends a transaction never waits for those who begin one."""
    await to_thread.run_sync(end, *told, limiter=CapacityLimiter(1))


def answered(session: Session, out: BaseModel, status: int = 200) -> Response:
    """Commit, and what the route answers, in the one thread that it has: else each of both is a thread more, and people
    who label wait for all of them."""
    body = out.model_dump_json()  # what cannot be said is not done
    session.commit()
    return Response(body, status, media_type="application/json")


SessionDep = Annotated[Session, Depends(get_session, scope="function")]


def bearer(request: Request) -> str | None:
    """The token of an `Authorization: Bearer` header."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


ONLY: dict[str, set[tuple[str, str]]] = {"feedback": {("POST", "/feedback")}}
"""What a token of one use opens: methods and routes below the API's own address."""


def _route(request: Request) -> str:
    """The route of a request below the API's own address, as it is written in the program."""
    return str(getattr(request.scope.get("route"), "path", "")).removeprefix("/api/v1")


class Identity(NamedTuple):
    """Who is asking, and the API token by which they do, if any."""

    user: User
    token: ApiToken | None

    @property
    def limited(self) -> bool:
        """Whether the token may do less than its person."""
        token = self.token
        bounds = (token.project_id, token.role, token.only) if token else ()
        return token is not None and (token.read_only or any(bound is not None for bound in bounds))

    @property
    def passing(self) -> bool:
        """Whether the token opens nothing after a while."""
        return self.token is not None and self.token.expires_at is not None


def identify(session: SessionDep, request: Request) -> Identity:
    """Who is asking: by bearer token when there is one, else by cookie.  Raises SignedOut, NotAllowed."""
    secret = bearer(request)
    if secret is not None:
        token = accounts.by_token(session, secret)
        if token is None:
            raise SignedOut(
                "This API token is wrong, was revoked, or has expired.", "Make a new one on your account page."
            )
        if token.read_only and request.method not in SAFE:
            raise NotAllowed("This API token only reads.", remedy="Use another token for what changes something.")
        if token.only is not None and (request.method, _route(request)) not in ONLY[token.only]:
            raise NotAllowed(f"This API token is for {token.only} alone.", remedy="Use another token for the rest.")
        return Identity(token.user, token)
    cookie = request.cookies.get(COOKIE)
    user = accounts.by_cookie(session, cookie) if cookie else None
    if user is None:
        raise SignedOut
    return Identity(user, None)


IdentityDep = Annotated[Identity, Depends(identify)]


# What asks nothing of the database is `async`: anything else is run in a thread of its own each time.
async def current_user(identity: IdentityDep) -> User:
    return identity.user


CurrentUser = Annotated[User, Depends(current_user)]


async def whole(identity: IdentityDep) -> User:
    """The person, about their own account or the instance: nothing for a token with limits."""
    return unlimited(identity)


def unlimited(identity: Identity) -> User:
    """Whose identity it is.  Raises NotAllowed for a token with limits."""
    if identity.limited:
        raise NotAllowed(
            "This API token is limited to the work in projects.", remedy="Use the pages, or another token."
        )
    return identity.user


Whole = Annotated[User, Depends(whole)]


async def lasting(user: Whole, identity: IdentityDep, request: Request) -> User:
    """The person, about who may come in: a token that expires only reads it, as what it made would outlast it."""
    if identity.passing and request.method not in SAFE:
        raise NotAllowed(
            "This API token expires, and what it would open stays open.", remedy="Use the pages, or another token."
        )
    return user


Lasting = Annotated[User, Depends(lasting)]


async def admin(user: Lasting) -> User:
    if not user.admin:
        raise NotAllowed("This needs an admin.", remedy="Ask an admin.")
    return user


Admin = Annotated[User, Depends(admin)]


def named_project(request: Request) -> str | None:
    """The project that a request names: by header, else a browser's by cookie."""
    by_cookie = None if bearer(request) else request.cookies.get(PROJECT_COOKIE)
    return request.headers.get(PROJECT_HEADER) or by_cookie or None


def locate(session: SessionDep, identity: IdentityDep, request: Request) -> Place:
    """The project of a request and what the caller may do in it: the project named, else the token's, else the
    caller's first.  Raises NotAMember for one that is missing just as for one that is somebody else's."""
    changes = request.method not in SAFE
    place = members.place(session, identity.user, identity.token, named_project(request), lock=changes)
    if changes:
        refuse_archived(place)
    return place


def refuse_archived(place: Place) -> None:
    """Raises ProjectArchived."""
    if place.project.archived_at is not None:
        raise ProjectArchived("This project is archived: it can be read only.", remedy="Ask an owner to reopen it.")


PlaceDep = Annotated[Place, Depends(locate)]


async def current_project(place: PlaceDep) -> Project:
    return place.project


ProjectDep = Annotated[Project, Depends(current_project)]


def need(place: Place, role: Role) -> None:
    """Raises NotAllowed unless the caller has the role, or a greater one, in the project."""
    if not place.role.includes(role):
        known = "Annotators label and vote; this" if place.role is Role.annotator else "This"
        raise NotAllowed(
            f"{known} needs {'an' if role is Role.owner else 'a'} {role}.", remedy="Ask an owner of the project."
        )


async def researcher(place: PlaceDep, user: CurrentUser) -> User:
    need(place, Role.researcher)
    return user


async def owner(place: PlaceDep, user: CurrentUser) -> User:
    need(place, Role.owner)
    return user


Researcher = Annotated[User, Depends(researcher)]
Owner = Annotated[User, Depends(owner)]


class ProjectArchived(Conflict):
    title = "Project archived"


class KeyReused(Conflict):
    title = "Idempotency key reused"


class Once:
    """Does a creating request once, however often it is sent with the same `Idempotency-Key`."""

    def __init__(
        self,
        session: SessionDep,
        user: CurrentUser,
        project: ProjectDep,
        request: Request,
        idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
    ) -> None:
        self.session, self.user, self.project, self.key = session, user, project, idempotency_key
        self.route = f"{request.method} {request.url.path}"

    def __call__(self, body: BaseModel | None, out: type[O], create: Callable[[], Any]) -> O:
        """`create()` as an `out`, or the stored answer of the first time."""
        if self.key is None:
            return out.model_validate(create())
        lock = int.from_bytes(hashlib.sha256(f"{self.user.id} {self.key}".encode()).digest()[:8], signed=True)
        self.session.execute(select(func.pg_advisory_xact_lock(lock)))
        payload = json.dumps(
            [str(self.project.id), self.route, body.model_dump(mode="json") if body else None], sort_keys=True
        )
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
