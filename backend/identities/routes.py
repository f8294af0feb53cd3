"""Routes of signing in by way of a provider, and of the identities that people have there."""

import hmac
import json
import time
import uuid
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse
from sqlalchemy.orm import Session

from backend.accounts import service as accounts
from backend.accounts.models import User
from backend.accounts.routes import address, open_door
from backend.audit import service as audit
from backend.deps import COOKIE, Admin, SessionDep, Whole
from backend.errors import NotFound
from backend.identities import provider, service
from backend.identities.provider import Provider, Refused, Ticket
from backend.identities.schemas import ExpectIn, IdentityOut, WayOut
from backend.offline import Offline
from backend.paging import Page
from backend.secrets import seal
from backend.settings import Settings, get_settings

router = APIRouter(tags=["sign-in"])
FLOW_COOKIE = "plumbline_sso"
FLOW_PATH = "/api/v1/sso"
FLOW_SECONDS = 600
PURPOSE = "sign-in by way of the provider"
Text = Annotated[str, Query(max_length=4096)]


@router.get("/sso")
def way_in() -> WayOut:
    """Whether there is another way in than a password, and what it is called."""
    settings = get_settings()
    return WayOut(name=settings.oidc_name if provider.configured(settings) else None)


@router.get("/sso/start", status_code=303, response_class=RedirectResponse)
def start(request: Request, session: SessionDep, next: Text = "/", link: bool = False) -> RedirectResponse:
    """Send the browser to the provider; with `link`, to connect the signed-in person with who they are there."""
    settings = get_settings()
    found = _provider(settings)
    user = _signed_in(session, request) if link else None
    ticket = Ticket.new()
    flow = {
        "ticket": [ticket.state, ticket.nonce, ticket.verifier],
        "next": inside(next),
        "link": str(user.id) if user else None,
        "until": time.time() + FLOW_SECONDS,
    }
    try:
        answer = RedirectResponse(found.address(ticket, _callback(request, settings)), 303)
    except Refused as refused:
        return _refused(session, request, refused.code)
    sealed = seal.seal(json.dumps(flow), PURPOSE, seal.keys(settings)).hex()
    answer.set_cookie(
        FLOW_COOKIE,
        sealed,
        max_age=FLOW_SECONDS,
        httponly=True,
        samesite="lax",
        secure=settings.secure_cookies,
        path=FLOW_PATH,
    )
    return _private(answer)


@router.get("/sso/callback", status_code=303, response_class=RedirectResponse)
def come_back(
    request: Request, session: SessionDep, code: Text = "", state: Text = "", error: Text = ""
) -> RedirectResponse:
    """Let the person in whom the provider names, into a fresh session; whoever is refused learns why at the door."""
    settings = get_settings()
    found = _provider(settings)
    try:
        flow = _flow(request, settings, state)
        if error or not code:
            return _refused(session, request, "cancelled")
        claims = found.exchange(code, Ticket(*flow["ticket"]), _callback(request, settings))
        with session.begin_nested():
            if flow["link"]:
                return _linked(session, request, claims, flow, settings)
            user = service.arrive(session, claims, settings)
    except Refused as refused:
        return _refused(session, request, refused.code)
    before = request.cookies.get(COOKIE)
    if before:
        accounts.sign_out(session, before)
    audit.record(session, user, None, "open", "sign-in", None, {"by": "provider"}, ip=address(request))
    answer = RedirectResponse(flow["next"], 303)
    open_door(answer, accounts.open_session(session, user))
    return _done(answer)


def _linked(
    session: Session, request: Request, claims: provider.Claims, flow: dict[str, Any], settings: Settings
) -> RedirectResponse:
    user = _signed_in(session, request)
    if user is None or str(user.id) != flow["link"]:
        raise Refused("state", "Somebody else is signed in by now.")
    service.link(session, claims, user, settings)
    audit.record(session, user, None, "connect", "identity", user.id)
    return _done(RedirectResponse("/account", 303))


def _signed_in(session: Session, request: Request) -> User | None:
    cookie = request.cookies.get(COOKIE)
    return accounts.by_cookie(session, cookie) if cookie else None


def _provider(settings: Settings) -> Provider:
    found = provider.configured(settings)
    if found is None and settings.offline:
        raise Offline(
            "Plumbline is told to stay offline here (PLUMBLINE_OFFLINE), so the sign-in provider is switched off.",
            remedy="Sign in with name and password; an admin can set you one.",
        )
    if found is None:
        raise NotFound("No sign-in provider is set up.", remedy="Sign in with name and password.")
    return found


def _callback(request: Request, settings: Settings) -> str:
    # The Host header is one that the guard lets in; behind a proxy that speaks HTTPS, cookies are marked Secure.
    scheme = "https" if settings.secure_cookies else request.url.scheme
    return f"{scheme}://{request.headers['host']}{FLOW_PATH}/callback"


def _flow(request: Request, settings: Settings, state: str) -> dict[str, Any]:
    """What this very browser set out with.  Raises Refused when it did not, or when it was another time."""
    try:
        sealed = bytes.fromhex(request.cookies.get(FLOW_COOKIE, ""))
        flow: dict[str, Any] = json.loads(seal.unseal(sealed, PURPOSE, seal.keys(settings)))
    except (ValueError, seal.SecretUnreadable):
        raise Refused("state", "This sign-in was not begun in this browser.") from None
    if not hmac.compare_digest(flow["ticket"][0].encode(), state.encode()) or flow["until"] < time.time():
        raise Refused("state", "This sign-in was not begun in this browser, or too long ago.")
    return flow


def inside(next: str) -> str:
    """`next` if it is an address of this site that a person can look at, else Home."""
    parts = urlsplit(next)
    plain = next.isprintable() and "\\" not in next and next.startswith("/") and not next.startswith("//")
    if not plain or parts.scheme or parts.netloc or parts.path.startswith(("/sign-in", "/api/")):
        return "/"
    return next if len(next) <= 1000 else "/"


def _refused(session: Session, request: Request, why: str) -> RedirectResponse:
    told = {"by": "provider", "why": why}
    audit.record(session, None, None, "fail", "sign-in", None, told, ip=address(request))
    return _done(RedirectResponse(f"/sign-in?refused={why}", 303))


def _done(answer: RedirectResponse) -> RedirectResponse:
    answer.delete_cookie(FLOW_COOKIE, path=FLOW_PATH)
    return _private(answer)


def _private(answer: RedirectResponse) -> RedirectResponse:
    answer.headers["cache-control"] = "no-store"
    return answer


@router.get("/me/identities")
def list_own(user: Whole, session: SessionDep) -> Page[IdentityOut]:
    """By which identities at the provider the caller may sign in."""
    return Page(items=[IdentityOut.model_validate(row) for row in service.of(session, user)])


@router.delete("/me/identities/{identity_id}", status_code=204)
def remove_own(identity_id: uuid.UUID, user: Whole, session: SessionDep) -> None:
    """Afterwards the identity does not open the caller's account."""
    service.remove(session, user, identity_id)
    audit.record(session, user, None, "disconnect", "identity", user.id)


@router.get("/users/{user_id}/identities")
def list_identities(user_id: uuid.UUID, _: Admin, session: SessionDep) -> Page[IdentityOut]:
    """By which identities a person may sign in, and under which emails they are expected."""
    found = service.of(session, accounts.find(session, user_id))
    return Page(items=[IdentityOut.model_validate(row) for row in found])


@router.post("/users/{user_id}/identities", status_code=201)
def expect(user_id: uuid.UUID, body: ExpectIn, admin: Admin, session: SessionDep) -> IdentityOut:
    """Let whoever comes from the provider with this verified email be that person."""
    user = accounts.find(session, user_id)
    made = service.expect(session, user, body.email)
    audit.record(session, admin, None, "expect", "identity", user.id, {"name": user.name})
    return IdentityOut.model_validate(made)


@router.delete("/users/{user_id}/identities/{identity_id}", status_code=204)
def remove_identity(user_id: uuid.UUID, identity_id: uuid.UUID, admin: Admin, session: SessionDep) -> None:
    """Afterwards the identity opens nothing."""
    user = accounts.find(session, user_id)
    service.remove(session, user, identity_id)
    audit.record(session, admin, None, "disconnect", "identity", user.id, {"name": user.name})
