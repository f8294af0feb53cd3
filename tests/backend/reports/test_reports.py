"""Routes of training elsewhere: one token opens one run and nothing else, and whatever it sends is a stranger's."""

import gzip
import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from backend.db import transaction
from backend.runs.models import Metric, ReportToken, Run, RunEvent
from backend.settings import Settings
from backend.work import State, now
from tests.backend.reports.conftest import HASH, ME, Launched, Reporter, change, row, step
from tests.conftest import Client
from workers.tasks import sweep


@pytest.mark.parametrize(
    ("method", "path"),
    [("post", "/runs/{}/reporter"), ("get", "/runs/{}/reporter"), ("delete", "/runs/{}/reporter")],
)
def test_who_may_give_out_tokens(
    anonymous: Client, annotator: Client, researcher: Client, method: str, path: str
) -> None:
    """Signed out 401, an annotator 403, and a run that is not there 404."""
    address = "/api/v1" + path.format(uuid.uuid4())
    more: dict[str, Any] = {"json": {}} if method == "post" else {}
    assert getattr(anonymous, method)(address, **more).status_code == 401
    assert getattr(annotator, method)(address, **more).status_code == 403
    assert getattr(researcher, method)(address, **more).status_code == 404


ROUTES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "start", {"json": {"reporter": ME}}),
    ("GET", "snapshot/manifest.json", {}),
    ("GET", "weights/checkpoint/0/config.json", {}),
    ("POST", "events?offset=0", {}),
    ("PUT", "checkpoints/2", {"json": {"files": [{"name": "a.json", "size": 1, "sha256": HASH}]}}),
    ("POST", "checkpoints/2/files/a.json?offset=0", {"content": b"x"}),
    ("POST", "checkpoints/2/stored", {}),
    ("POST", "end", {"json": {}}),
]


def test_no_good_token(
    reporter: Reporter,
    researcher: Client,
    allow: Callable[[str], Reporter],
    launched: Launched,
) -> None:
    """Without a token, with a wrong, expired or revoked one, or as a person: 401. Another run's, or after the end: 403.
    So on every route of reporters."""

    def statuses(client: Client, **headers: str) -> set[int]:
        given = {"plumbline-reporter": ME, **headers}
        address = f"/api/v1/report/{reporter.run}"
        return {
            client.request(method, f"{address}/{path}", headers=given, **request).status_code
            for method, path, request in ROUTES
        }

    stranger = reporter.client
    good = f"Bearer {reporter.token}"
    other = allow(launched(where="report", name="Other")["id"])
    assert statuses(stranger) == {401}
    assert statuses(stranger, authorization="Bearer plr_" + "x" * 43) == {401}
    assert statuses(researcher) == {401}
    assert statuses(stranger, authorization=f"Bearer {other.token}") == {403}
    with transaction() as session:
        expired = update(ReportToken).where(ReportToken.run_id == uuid.UUID(reporter.run))
        session.execute(expired.values(expires_at=now() - timedelta(seconds=1)))
    assert statuses(stranger, authorization=good) == {401}
    fresh = f"Bearer {allow(reporter.run).token}"
    assert statuses(stranger, authorization=good) == {401}
    change(reporter.run, state=State.cancelled)
    assert statuses(stranger, authorization=fresh) == {403}
    researcher.delete(f"/api/v1/runs/{reporter.run}/reporter")
    assert statuses(stranger, authorization=fresh) == {401}


def test_opens_nothing_else(reporter: Reporter, anonymous: Client) -> None:
    """The token of a reporter is no API token."""
    schema = anonymous.get("/api/v1/openapi.json").json()["paths"]
    asked = 0
    for path, methods in schema.items():
        if path.startswith("/api/v1/report/") or path == "/api/v1/session":
            continue
        for method in set(methods) & {"get", "delete"}:
            address = path
            while "{" in address:
                before, _, rest = address.partition("{")
                address = before + reporter.run + rest.partition("}")[2]
            answer = anonymous.request(method, address, headers=reporter.headers)
            signed_out = anonymous.request(method, address)
            assert answer.status_code == signed_out.status_code, (method, path, answer.status_code)
            asked += 1
    assert asked > 40


def test_token_is_kept_as_a_hash(reporter: Reporter, researcher: Client) -> None:
    """Neither the database nor a later answer holds the token; a new one takes the place of the old."""
    with transaction() as session:
        kept = session.scalars(select(ReportToken)).one()
        assert reporter.token.encode() not in kept.token_hash
    seen = researcher.get(f"/api/v1/runs/{reporter.run}/reporter").json()
    assert (seen["connected"], seen["host"], seen["token"]) == (True, "gpu-7", reporter.token[:10])
    assert reporter.token not in json.dumps(seen)


def test_worker_leaves_it(waiting: dict[str, Any]) -> None:
    """No worker takes a run that is trained elsewhere, and none is rung for it."""
    from backend import work as queued
    from backend.runs.models import Place

    with transaction() as session:
        assert queued.claim(session, Run, Run.place == Place.worker) is None
    assert waiting["place"] == "elsewhere"


def test_events_become_rows(reporter: Reporter, researcher: Client) -> None:
    """Events are stored once, wherever a batch begins; after a gap nothing is; gzip is the same."""
    assert reporter.tell(step(1), step(2)).json()["state"] in ("starting", "running")
    assert reporter.tell(step(1), step(2), step(3), offset=0).json()["offset"] == reporter.offset
    before = reporter.offset
    assert reporter.tell(step(9), offset=before + 10).json()["offset"] == before
    zipped = gzip.compress((json.dumps(step(4)) + "\n" + '{"type": "st').encode())
    half = reporter.ask("POST", f"events?offset={before}", content=zipped, headers={"content-encoding": "gzip"}).json()
    with transaction() as session:
        steps = session.scalars(select(Metric.step).where(Metric.name == "loss").order_by(Metric.step)).all()
    assert steps == [1, 2, 3, 4]
    assert half["offset"] == before + len(json.dumps(step(4))) + 1
    assert researcher.get(f"/api/v1/runs/{reporter.run}").json()["done"] == 4


HOSTILE_LINES = [
    b"not json",
    b"[]",
    b'{"type": "other"}',
    b'{"type": "step", "step": "1", "values": {}}',
    b'{"type": "step", "step": -1, "values": {}}',
    b'{"type": "step", "step": 99999999999, "values": {}}',
    b'{"type": "step", "step": 1, "values": {"loss": "much"}}',
    b'{"type": "step", "step": 1, "values": {' + b",".join(b'"n%d": 1' % n for n in range(600)) + b"}}",
    b'{"type": "log", "message": "x", "more": ' + b"[" * 40 + b"]" * 40 + b"}",
    b'{"type": "checkpoint", "step": 1, "path": "../../etc", "kind": "pickle"}',
    b"\xff\xfe",
    b"[" * 100_000,
]


def test_hostile_lines(reporter: Reporter) -> None:
    """What is no event is left out with a note, and the events after it are stored."""
    content = b"".join(line + b"\n" for line in HOSTILE_LINES) + json.dumps(step(3)).encode() + b"\n"
    answer = reporter.ask("POST", "events?offset=0", content=content)
    assert answer.json()["offset"] == len(content)
    with transaction() as session:
        assert set(session.scalars(select(Metric.step))) == {3}
        levels = [event.payload["level"] for event in session.scalars(select(RunEvent))]
    assert levels == ["warning"] * len(HOSTILE_LINES)


def test_too_much(reporter: Reporter, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bombs, bodies past the limit, and events without end are refused."""
    bomb = gzip.compress(bytes(64 << 20))
    zipped = {"content-encoding": "gzip"}
    assert reporter.ask("POST", "events?offset=0", content=bomb, headers=zipped).status_code == 413
    assert reporter.ask("POST", "events?offset=0", content=b"no gzip", headers=zipped).status_code == 422
    assert reporter.ask("POST", "events?offset=0", content=bytes(5 << 20)).status_code == 413
    monkeypatch.setattr(settings, "max_report_bytes", 10)
    assert reporter.tell(step(1)).status_code == 413


def test_one_program_only(reporter: Reporter, waiting: dict[str, Any]) -> None:
    """A second program with the same token gets nowhere while the first is heard of."""
    first = dict(reporter.headers)
    reporter.tell(step(1))
    again = reporter.ask("POST", "start", json={"reporter": str(uuid.uuid4()), "host": "thief"})
    assert (again.status_code, again.json()["type"]) == (409, "/problems/AnotherReporter")
    reporter.headers["plumbline-reporter"] = str(uuid.uuid4())
    assert reporter.tell(step(2)).status_code == 409
    reporter.headers = first
    assert reporter.start().json()["offset"] == reporter.offset


def test_cancel_and_end(reporter: Reporter, researcher: Client) -> None:
    """A cancel is told with the next answer; at the end the run is cancelled, and the token good for nothing."""
    reporter.tell(step(1))
    researcher.post(f"/api/v1/runs/{reporter.run}/cancel")
    assert reporter.tell().json()["stop"] is True
    reporter.tell({"type": "done", "cancelled": True})
    assert reporter.ask("POST", "end", json={"exit_code": 0}).json()["state"] == "cancelled"
    assert reporter.tell(step(2)).status_code == 403


def test_silence_and_return(reporter: Reporter) -> None:
    """A program not heard of leaves its run lost; as soon as it reports, the run goes on."""
    reporter.tell(step(1))
    change(reporter.run, heartbeat_at=now() - timedelta(minutes=5))
    with transaction() as session:
        sweep.sweep_run(session, session.get_one(Run, uuid.UUID(reporter.run), with_for_update=True))
    lost = row(reporter.run)
    assert (lost.state, lost.failure) == (State.lost, "silent")
    assert "gpu-7" in (lost.reason or "")
    assert reporter.tell(step(2)).json()["state"] == "running"
    back = row(reporter.run)
    assert (back.state, back.reason, back.failure, back.finished_at, back.done) == (State.running, None, None, None, 2)
