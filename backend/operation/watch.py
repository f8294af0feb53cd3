"""Watching requests: each has an id that its log lines and its answer carry, is counted, and timed."""

import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend import trace
from backend.operation.metrics import DURATIONS, REQUESTS, method_of, route_of

SAFE = {"GET", "HEAD", "OPTIONS"}
SLOW_SECONDS = 2.0
CUT = 499  # the caller went away before the answer began
log = structlog.get_logger()


class Watch:
    """ASGI middleware, the outermost: refusals of the guard are watched too."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = trace.accepted(Headers(scope=scope).get(trace.HEADER))
        scope[trace.HEADER] = request_id  # for the handler of unexpected errors, which stands outside of this
        started, status = time.perf_counter(), CUT

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[trace.HEADER] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, sending)
            except Exception:
                status = 500
                raise
            finally:
                _note(scope, status, time.perf_counter() - started)


def _note(scope: Scope, status: int, seconds: float) -> None:
    """Count the request, and log it when it changed something, failed, or took long. Refused ones are only counted: a
    stranger must not fill the log."""
    route, method = route_of(scope, status), method_of(scope)
    REQUESTS.labels(route, method, f"{status // 100}xx").inc()
    DURATIONS.labels(route, method).observe(seconds)
    changed = method not in SAFE and status < 400
    if changed or status >= 500 or seconds > SLOW_SECONDS:
        log.info(
            "request", method=method, route=route, status=status, milliseconds=round(seconds * 1000), **_ids(scope)
        )


def _ids(scope: Scope) -> dict[str, str]:
    """Which rows the address names; tokens in addresses are none of them."""
    parameters = scope.get("path_params") or {}
    return {name: str(value)[:64] for name, value in parameters.items() if name.endswith("_id")}
