"""Our own files for the browser, served under `/ui/`.

`/ui/<version>/<file>` may be kept for ever by the browser, because the version changes when any file does; modules
that import each other relatively stay inside one version. `/ui/<file>` works too and is checked on every use.
"""

import hashlib
from importlib.resources import files
from pathlib import Path
from string import Template

import plotly
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

ASSETS = Path(str(files("frontend"))) / "assets"
# Plotly's browser build lies in its Python package, so that nothing is fetched from elsewhere and nothing is vendored.
_ELSEWHERE = {"plotly.min.js": Path(plotly.__file__).parent / "package_data" / "plotly.min.js"}
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
_FOREVER = "public, max-age=31536000, immutable"


def template(name: str) -> Template:
    """The text of `templates/<name>.html`, with `$names` to fill in; what is filled in must be escaped already."""
    return Template((ASSETS.parent / "templates" / f"{name}.html").read_text(encoding="utf-8"))


def version() -> str:
    """A short name for the present state of all files; costs one `stat` each."""
    digest = hashlib.sha256()
    for path in sorted(ASSETS.iterdir()):
        stat = path.stat()
        digest.update(f"{path.name}:{stat.st_mtime_ns}:{stat.st_size};".encode())
    return digest.hexdigest()[:12]


def address(name: str) -> str:
    """Where the browser finds `name`, kept for ever."""
    return f"/ui/{version()}/{name}"


class Static:
    """The ASGI application behind `/ui`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = [part for part in scope["path"].removeprefix("/ui/").split("/") if part]
        response = _answer(parts, scope["method"])
        await response(scope, receive, send)


def routes() -> list[Route]:
    """The route that serves the files; public, since the sign-in page needs them."""
    # Plotly is 4.8 MB, 1.5 MB on the way; packing it takes a tenth of a second, once for each browser.
    return [Route("/ui/{path:path}", GZipMiddleware(Static(), minimum_size=1000, compresslevel=4))]


def _answer(parts: list[str], method: str) -> Response:
    if method not in {"GET", "HEAD"} or len(parts) not in {1, 2}:
        raise HTTPException(404)
    path = _ELSEWHERE.get(parts[-1], ASSETS / parts[-1])
    # Only files that lie directly in the folder: no name with a separator or dots gets past the listing.
    if parts[-1] not in _ELSEWHERE and path not in set(ASSETS.iterdir()):
        raise HTTPException(404)
    media_type = _TYPES.get(path.suffix)
    if media_type is None:
        raise HTTPException(404)
    cache = _FOREVER if len(parts) == 2 else "no-cache"
    headers = {"Cache-Control": cache, "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type=media_type, headers=headers)
