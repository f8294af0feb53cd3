"""The guard at the door: Host allow-list, Origin check, body limit and security headers, for every route."""

from urllib.parse import urlsplit

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.errors import PROBLEM, AppError, NotAllowed, TooLarge
from backend.settings import Settings

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
SAFE = {"GET", "HEAD", "OPTIONS"}
STREAMED = "/api/v1/uploads"  # has its own, larger limit


class UnknownHost(AppError):
    status, title = 421, "Unknown host"


class CrossOrigin(NotAllowed):
    title = "Cross-origin request"


def host_name(host: str) -> str:
    """The name in a Host header, without port; an IPv6 address keeps its brackets."""
    return host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host


class Guard:
    """ASGI middleware; refuses before anything else has run."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.hosts = {host.lower() for host in settings.allowed_hosts}
        self.max_body = settings.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # nothing here speaks it, and no check below would see it
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            self._check(scope)
        except AppError as error:
            await _refusal(error)(scope, receive, send)
            return
        if scope["path"] == STREAMED:
            await self.app(scope, receive, _with_headers(send))
        else:
            await self._limited(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host_name(host).lower() not in self.hosts:
            raise UnknownHost(
                "This address is not one the server answers to.",
                remedy="Open it by an allowed name, or add the name to PLUMBLINE_ALLOWED_HOSTS.",
            )
        if scope["method"] not in SAFE and not headers.get("authorization", "").lower().startswith("bearer "):
            _check_origin(headers, host)
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > self.max_body and scope["path"] != STREAMED:
            raise self._too_large()

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The body is larger than {self.max_body} bytes.", remedy="Upload large data as a file.")

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application on a body whose size nobody announced: past the limit its input ends, and whatever it
        answers to that becomes a refusal that names the reason."""
        seen, refused = 0, False
        answer = _with_headers(send)

        async def limited() -> Message:
            nonlocal seen
            if seen > self.max_body:
                return {"type": "http.disconnect"}
            message = await receive()
            seen += len(message.get("body", b""))
            return {"type": "http.disconnect"} if seen > self.max_body else message

        async def answering(message: Message) -> None:
            nonlocal refused
            if refused:
                return
            refused = seen > self.max_body and message["type"] == "http.response.start"
            await (_refusal(self._too_large())(scope, receive, send) if refused else answer(message))

        await self.app(scope, limited, answering)


def _refusal(error: AppError) -> JSONResponse:
    return JSONResponse(error.problem(), error.status, media_type=PROBLEM, headers=HEADERS)


def _check_origin(headers: Headers, host: str) -> None:
    """A request that a browser may have been tricked into must come from a page of ours."""
    origin = headers.get("origin")
    if origin is not None:
        if urlsplit(origin).netloc.lower() == host.lower():
            return
    elif headers.get("sec-fetch-site", "none") in {"same-origin", "none"} and "cookie" not in headers:
        return
    raise CrossOrigin("This request did not come from a page of this server.", remedy="Use a page, or an API token.")


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
