"""The addresses for those who watch over an instance: outside the API, answered without signing in."""

import hmac
import ipaddress
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from backend.deps import bearer
from backend.errors import NotFound, SignedOut
from backend.guard import host_name
from backend.operation import gauges, health
from backend.operation.metrics import REGISTRY
from backend.settings import Settings, get_settings

router = APIRouter(include_in_schema=False)
PARTS = health.Readiness({"database": health.database, "redis": health.doorbell, "storage": health.files})
LOCAL_NAMES = {"localhost", "127.0.0.1", "[::1]"}
FORWARDED = ("forwarded", "via", "x-real-ip")  # and all of x-forwarded-…
UNCACHED = {"cache-control": "no-store"}
gauges.register(REGISTRY)


class Live(BaseModel):
    """That the web server answers."""

    status: Literal["live"] = "live"


@router.get("/health/live")
async def live() -> Live:
    """Touches nothing: for whoever restarts what hangs."""
    return Live()


@router.get("/health/ready")
async def ready() -> JSONResponse:
    """200, or 503 with the names of what does not answer and nothing else about it: strangers read this too."""
    missing = await PARTS.missing()
    if missing:
        return JSONResponse({"status": "not ready", "missing": missing}, 503, headers=UNCACHED)
    return JSONResponse({"status": "ready"}, headers=UNCACHED)


def may_read(request: Request, settings: Annotated[Settings, Depends(get_settings)]) -> None:
    """With a token set, whoever has it; without one, programs on this machine, and for all others there is no such
    page.  Raises SignedOut, NotFound."""
    token = settings.metrics_token
    if token is None or not token.get_secret_value():
        if not direct(request):
            raise NotFound("Not Found")
        return
    given = bearer(request)
    if given is None or not hmac.compare_digest(given.encode(), token.get_secret_value().encode()):
        raise SignedOut("The metrics need their token.", remedy="Send the value of PLUMBLINE_METRICS_TOKEN.")


def direct(request: Request) -> bool:
    """Whether a program on this machine asks, by a name that only this machine uses, and with no proxy in between."""
    names = {name.lower() for name in request.headers}
    if any(name in FORWARDED or name.startswith("x-forwarded") for name in names):
        return False
    try:
        near = request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        near = False
    return near and host_name(request.headers.get("host", "")).lower() in LOCAL_NAMES


@router.get("/metrics", dependencies=[Depends(may_read)])
def metrics() -> Response:
    """All numbers in Prometheus' text format."""
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST, headers=UNCACHED)
