"""What stands between the network and Gradio: who may see which page, and which of Gradio's addresses exist at all.

Gradio brings some eighty routes (uploads, recordings, run history, MCP, code editing …). Only those that our pages
use are let through, each for a signed-in person; pages are framed on their way out (`frontend.frame`).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from frontend import frame
from frontend.page import Page

Person = Mapping[str, Any]
WhoIs = Callable[[Request], Awaitable[Person | None]]

_PUBLIC_FILES = ("/assets/", "/static/", "/theme.css", "/favicon.ico")
_EVENTS = (
    "/gradio_api/queue/join",
    "/gradio_api/queue/data",
    "/gradio_api/heartbeat/",
    "/gradio_api/cancel",
    "/gradio_api/reset",
    "/gradio_api/component_server",
    "/gradio_api/startup-events",
    "/gradio_api/app_id",
    "/config",
)
_FOREVER = b"public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Guard:
    """The ASGI application mounted at `/` in place of Gradio's own."""

    gradio: ASGIApp
    pages: Mapping[str, Page]
    who_is: WhoIs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.gradio(scope, receive, send)
            return
        request = Request(scope, receive)
        path = request.url.path
        if path.startswith(_PUBLIC_FILES):
            await self.gradio(scope, receive, _kept(send) if path.startswith("/assets/") else send)
            return
        person = await self.who_is(request)
        if path.startswith(_EVENTS) and person is not None:
            await self.gradio(scope, receive, send)
            return
        response = await self._answer(request, person)
        await response(scope, receive, send)

    async def _answer(self, request: Request, person: Person | None) -> Response:
        path = request.url.path
        if path.startswith(("/gradio_api/", "/config", "/api/")):
            return _refused(401 if person is None else 404)
        if request.method not in {"GET", "HEAD"}:
            return _refused(401 if person is None else 405)
        if person is None:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"/sign-in?next={quote(path + query, safe='')}", 303)
        page = self.pages.get(path)
        if page is None:
            return _page(frame.missing(person, tuple(self.pages.values())), 404)
        if person["project"] is None and person["role"] not in page.roles:
            return _page(frame.stranded(person, tuple(self.pages.values())), 403)
        if person["role"] not in page.roles:
            return _page(frame.forbidden(page, person, tuple(self.pages.values())), 403)
        status, body = await _collect(self.gradio, request)
        if status != 200:
            return _page(frame.missing(person, tuple(self.pages.values())), status)
        return _page(frame.around(body.decode(), page, person, tuple(self.pages.values())), 200)


def _page(html: str, status: int) -> HTMLResponse:
    # The page shows the user's name and rights: the back button after signing out must not bring it back.
    return HTMLResponse(html, status, headers={"Cache-Control": "no-store"})


def _refused(status: int) -> JSONResponse:
    titles = {401: "Signed out", 404: "Not found", 405: "Method not allowed"}
    remedies = {401: "Sign in and try again.", 404: None, 405: None}
    body = {"type": "about:blank", "title": titles[status], "status": status, "detail": titles[status]}
    return JSONResponse(body | {"remedy": remedies[status]}, status, media_type="application/problem+json")


async def _collect(app: ASGIApp, request: Request) -> tuple[int, bytes]:
    """Gradio's own page, uncompressed."""
    dropped = (b"accept-encoding", b"range", b"if-none-match", b"if-modified-since")
    headers = [pair for pair in request.scope["headers"] if pair[0] not in dropped]
    status, parts = 500, list[bytes]()

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    await app({**request.scope, "method": "GET", "headers": headers}, request.receive, send)
    return status, b"".join(parts)


def _kept(send: Send) -> Send:
    """Let the browser keep Gradio's files: their names change with their content."""

    async def changed(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            headers = [pair for pair in message["headers"] if pair[0].lower() != b"cache-control"]
            message = {**message, "headers": [*headers, (b"cache-control", _FOREVER)]}
        await send(message)

    return changed
