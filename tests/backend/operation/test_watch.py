"""Requests are watched: an id each, one line for what matters, and numbers that no stranger can multiply."""

import uuid
from collections.abc import Callable

import pytest
import structlog
from fastapi import FastAPI
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from backend import trace
from backend.app import create_app
from backend.operation.metrics import REGISTRY
from backend.settings import Settings
from tests.conftest import ORIGIN, Client

BAD_IDS = {
    "empty": "",
    "long": "x" * 65,
    "huge": "x" * 60_000,
    "space": "a b",
    "quote": 'a"b',
    "line": "a\\nb",
    "json": "{}",
    "dash first": "-rf",
    "not ASCII": "ä",
}


def series() -> dict[tuple[str, str, str], float]:
    """Requests counted so far, by route, method and class of status."""
    found = {}
    for family in REGISTRY.collect():
        if family.name == "plumbline_http_requests":
            for sample in family.samples:
                if sample.name.endswith("_total"):
                    labels = sample.labels
                    found[labels["route"], labels["method"], labels["status"]] = sample.value
    return found


def test_a_sane_id_is_kept(anonymous: Client) -> None:
    """Whoever calls may name the request, refused ones too; else it is given a name, a new one each time."""
    assert anonymous.get("/api/v1/me", headers={trace.HEADER: "Ab-1._z"}).headers[trace.HEADER] == "Ab-1._z"
    refused = anonymous.get("/x", headers={"host": "evil.example", trace.HEADER: "mine"})
    assert (refused.status_code, refused.headers[trace.HEADER]) == (421, "mine")
    made = {anonymous.get("/api/v1/me").headers[trace.HEADER] for _ in range(2)}
    assert len(made) == 2


@pytest.mark.parametrize("given", BAD_IDS.values(), ids=BAD_IDS)
def test_an_id_that_makes_no_sense_is_replaced(anonymous: Client, given: str) -> None:
    """It would be written into logs, rows and answers: only short plain words are."""
    answer = anonymous.get("/api/v1/me", headers=[(trace.HEADER.encode(), given.encode("latin-1"))])
    assert answer.headers[trace.HEADER] != given
    assert len(answer.headers[trace.HEADER]) == 32


def test_an_unexpected_error_is_logged_under_the_id(settings: Settings, clean: None) -> None:
    """The line with the trace, and the answer, carry the id: a person can name it to whoever reads the log."""
    app: FastAPI = create_app(settings)

    @app.get("/breaks")
    def breaks() -> None:
        raise ZeroDivisionError

    with (
        TestClient(app, base_url=ORIGIN, raise_server_exceptions=False) as client,
        capture_logs([structlog.contextvars.merge_contextvars]) as lines,
    ):
        answer = client.get("/breaks", headers={trace.HEADER: "r-9"})
    assert (answer.status_code, answer.headers[trace.HEADER]) == (500, "r-9")
    assert {line["event"]: line["request_id"] for line in lines} == {"request": "r-9", "unexpected error": "r-9"}


def test_what_is_logged(make_client: Callable[..., Client]) -> None:
    """A change is a line with route and rows, without the address: tokens stand in addresses. Reading is none, nor is
    what was refused: neither pages that ask again and again nor strangers fill the log."""
    admin = make_client()
    with capture_logs() as lines:
        admin.get("/api/v1/me")
        admin.post("/api/v1/me/tokens", json={"name": "ci"})
        admin.post(f"/api/v1/leases/{uuid.uuid4()}/renew")
        make_client(None).post("/api/v1/me/tokens", json={"name": "ci"})
        make_client(None).post("/api/v1/nothing")
    told = [line for line in lines if line["event"] == "request"]
    assert [(line["method"], line["route"], line["status"]) for line in told] == [("POST", "/api/v1/me/tokens", 201)]


def test_no_stranger_makes_time_series(anonymous: Client) -> None:
    """Whatever addresses, ids and methods are asked for: the routes of the program, one label for all else."""
    anonymous.get("/api/v1/runs/0190a0a0-0000-7000-8000-000000000000")
    anonymous.get("/nowhere")
    anonymous.request("BREW", "/nowhere")
    before = series()
    for path in (
        f"/api/v1/runs/{uuid.uuid4()}",
        "/api/v1/runs/%0A%22%7D",
        "/nowhere/" + "x" * 2000,
        "/%F0%9F%A6%86%0d%0aplumbline_up%201",
        "/api/v1/../../etc/passwd",
        '/{route="x"}',
    ):
        anonymous.get(path)
    anonymous.request("SHOUT", "/nowhere")
    after = series()
    assert set(after) == set(before)
    assert after["/api/v1/runs/{run_id}", "GET", "4xx"] == before["/api/v1/runs/{run_id}", "GET", "4xx"] + 2
    assert after["unmatched", "GET", "4xx"] == before["unmatched", "GET", "4xx"] + 4
    assert after["unmatched", "other", "4xx"] == before["unmatched", "other", "4xx"] + 1
