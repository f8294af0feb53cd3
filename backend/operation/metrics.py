"""Numbers for Prometheus that the web process counts itself; `gauges.py` reads the others when somebody asks."""

import platform
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector, disable_created_metrics
from starlette.routing import Route
from starlette.types import Scope

API = "/api/v1"
METHODS = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, of which nobody asks anything
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
REQUESTS = Counter("plumbline_http_requests", "Answered requests.", ("route", "method", "status"), registry=REGISTRY)
DURATIONS = Histogram(
    "plumbline_http_request_duration_seconds",
    "Time until the whole answer was sent.",
    ("route", "method"),
    buckets=SECONDS,
    registry=REGISTRY,
)
Info("plumbline_build", "What runs here.", registry=REGISTRY).info(
    {"version": version("plumbline"), "python": platform.python_version()}
)


def route_of(scope: Scope, status: int) -> str:
    """The template of the route that took the request, never the address that was asked for: ids and whatever
    strangers type would each be a time series of their own."""
    route = scope.get("route")
    if isinstance(route, Route):
        return (API if scope["path"].startswith(f"{API}/") else "") + route.path_format
    return "pages" if status < 400 else "unmatched"


def method_of(scope: Scope) -> str:
    """The method, as long as it is one that HTTP knows."""
    return scope["method"] if scope["method"] in METHODS else "other"
