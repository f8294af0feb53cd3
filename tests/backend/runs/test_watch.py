"""Watching a run: events become rows exactly once, metrics are read by cursor and rolled up without losing a spike."""

import json
import math
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select

from backend import work
from backend.db import transaction
from backend.runs import readings, sink
from backend.runs.models import Metric, MetricRollup, Run, RunEvent
from backend.runs.readings import Reading
from backend.settings import Settings
from tests.backend.runs.conftest import Launched, change, run_folder
from tests.conftest import Client
from tests.queries import counted

Event = dict[str, Any]


class Crash(Exception):
    """The worker dies here."""


def step(number: int, **values: Any) -> Event:
    return {"type": "step", "step": number, "total_steps": 100, "time": float(number), "values": values}


def write(folder: Path, *events: Event | str | bytes, end: str = "\n") -> None:
    with (folder / sink.EVENTS).open("ab") as file:
        for event in events:
            text = json.dumps(event) if isinstance(event, dict) else event
            file.write((text.encode() if isinstance(text, str) else text) + end.encode())


def drain(run_id: str, folder: Path, pace: sink.Pace | None = None) -> Run:
    with transaction() as session:
        run = work.beat(session, Run, uuid.UUID(run_id))
        while sink.drain(session, run, folder, pace):
            pass
        return run


def metrics(client: Client, run_id: str, **query: Any) -> dict[str, Any]:
    answer = client.get(f"/api/v1/runs/{run_id}/metrics", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def events(client: Client, run_id: str, **query: Any) -> dict[str, Any]:
    return dict(client.get(f"/api/v1/runs/{run_id}/events", params=query).json())


@pytest.fixture
def run(launched: Launched) -> str:
    return str(launched()["id"])


@pytest.fixture
def folder(settings: Settings, run: str) -> Path:
    return run_folder(settings, run)


def test_cursor(researcher: Client, run: str, folder: Path) -> None:
    """What arrives between two questions comes once, an evaluation of an older step too."""
    write(folder, step(1, loss=0.7), step(2, loss=0.6))
    drain(run, folder)
    first = metrics(researcher, run)
    write(folder, step(2, **{"eval/loss": 0.65}), step(3, loss=0.5))
    drain(run, folder)
    second = metrics(researcher, run, after=first["cursor"])
    third = metrics(researcher, run, after=second["cursor"])

    assert first["series"]["loss"]["step"] == [1, 2]
    assert (second["whole"], second["series"]["loss"]["step"]) == (False, [3])
    assert second["series"]["eval/loss"] == {"step": [2], "value": [0.65], "low": [], "high": []}
    assert third["series"] == {}
    assert third["cursor"] == second["cursor"]


def test_names(researcher: Client, run: str, folder: Path) -> None:
    """Only the metrics asked for are sent."""
    write(folder, step(1, loss=0.7, lr=1e-6))
    drain(run, folder)

    assert set(metrics(researcher, run, names="loss")["series"]) == {"loss"}


def test_nothing_doubles(researcher: Client, run: str, folder: Path) -> None:
    """A transaction that failed after reading is read again; rows, rollups and events then stand once."""
    write(folder, step(1, loss=0.7), {"type": "log", "message": "hello"})

    def fail() -> None:
        with transaction() as session:
            sink.drain(session, session.get_one(Run, uuid.UUID(run)), folder)
            raise Crash

    with pytest.raises(Crash):
        fail()
    drain(run, folder)
    drain(run, folder)

    with transaction() as session:
        assert session.scalars(select(Metric.value)).all() == [0.7]
        assert set(session.scalars(select(MetricRollup.n))) == {1}
        assert len(session.scalars(select(RunEvent.id)).all()) == 1


def test_line_still_being_written(researcher: Client, run: str, folder: Path) -> None:
    """Half a line is left until its other half is there."""
    whole = json.dumps(step(1, loss=0.5))
    write(folder, whole[:20], end="")
    assert drain(run, folder).events_offset == 0
    write(folder, whole[20:])
    drain(run, folder)

    assert metrics(researcher, run)["series"]["loss"]["value"] == [0.5]


HOSTILE: list[str | bytes] = [
    "not json",
    "[]",
    "null",
    b"\xff\xfe\x00",
    "[" * 50_000,
    '{"type": "step", "step": NaN, "values": {"loss": 1}}',
    '{"type": "step", "step": -1, "values": {"loss": 1}}',
    '{"type": "step", "step": 99999999999999, "values": {"loss": 1}}',
    '{"type": "step", "step": 1, "values": [1]}',
    '{"type": "step", "step": true, "values": {"loss": 1}}',
    '{"type": "sample", "step": 1, "response": "a\\u0000b\\ud800"}',
    '{"type": {"x": 1}, "step": 1}',
    '{"type": "checkpoint", "step": 1, "path": "/etc"}',
    '{"type": "checkpoint", "step": 1, "path": "../../other"}',
    '{"type": "log", "number": 1e999, "deep": [NaN, Infinity]}',
    json.dumps({"type": "log", "message": "x" * (sink.LONGEST_LINE + 10)}),
]


def test_hostile_lines(researcher: Client, run: str, folder: Path) -> None:
    """No line, however broken, stops the ones after it, and nothing outside the run's folder becomes a checkpoint."""
    write(folder, *HOSTILE, step(2, loss=0.4))
    drain(run, folder)

    assert metrics(researcher, run)["series"] == {"loss": {"step": [2], "value": [0.4], "low": [], "high": []}}
    assert researcher.get("/api/v1/checkpoints", params={"run_id": run}).json()["items"] == []
    assert "\x00" not in json.dumps(events(researcher, run)["items"])


def test_values_that_are_none(researcher: Client, run: str, folder: Path) -> None:
    """NaN and infinity are gaps in a curve, never rows that break a page."""
    write(folder, '{"type": "step", "step": 1, "values": {"loss": NaN, "lr": Infinity, "x": 1e999, "y": "text"}}')
    drain(run, folder)

    assert {name: line["value"] for name, line in metrics(researcher, run)["series"].items()} == {
        "loss": [None], "lr": [None], "x": [None], "y": [None]
    }  # fmt: skip


def test_progress(researcher: Client, run: str, folder: Path) -> None:
    """Steps done, steps in all and the time left follow the events."""
    write(folder, *(step(number, loss=1.0) for number in range(1, 11)))
    row = drain(run, folder, sink.Pace())

    assert (row.done, row.total) == (10, 100)
    assert row.eta_seconds == pytest.approx(90)


def test_ladder(researcher: Client, run: str, folder: Path) -> None:
    """A long run is drawn from buckets, few enough, and the one spike in it is still there."""
    write(folder, *(step(number, loss=9.0 if number == 777 else 1.0) for number in range(1, 2001)))
    drain(run, folder)
    drawn = metrics(researcher, run, points=100)
    line = drawn["series"]["loss"]

    assert drawn["whole"] is True
    assert drawn["level"] == 2
    assert len(line["step"]) == 2000 // 64 + 1
    assert max(line["high"]) == 9.0
    assert min(line["low"]) == 1.0
    assert line["step"] == sorted(line["step"])
    assert metrics(researcher, run, points=5000)["level"] == 0


def test_long_absence(researcher: Client, run: str, folder: Path) -> None:
    """Who comes back after more than fits gets the whole picture anew instead of a flood."""
    write(folder, step(1, loss=1.0))
    drain(run, folder)
    cursor = metrics(researcher, run)["cursor"]
    write(folder, *(step(number, loss=1.0) for number in range(2, 500)))
    drain(run, folder)

    assert metrics(researcher, run, after=cursor, points=100)["whole"] is True


@pytest.mark.parametrize("query", [{"after": -1}, {"after": "x"}, {"after": 2**70}, {"points": 0}, {"points": 10**9}])
def test_bad_questions(researcher: Client, run: str, query: dict[str, Any]) -> None:
    """A cursor or number that cannot be is refused."""
    assert researcher.get(f"/api/v1/runs/{run}/metrics", params=query).status_code == 422


def test_events(researcher: Client, run: str, folder: Path) -> None:
    """Events come in order, by cursor and by kind."""
    write(folder, *({"type": "log", "message": f"line {number}"} for number in range(5)), {"type": "sample", "step": 1})
    drain(run, folder)
    some = events(researcher, run, limit=2)
    logs = events(researcher, run, kind="log")
    write(folder, {"type": "log", "message": "later"})
    drain(run, folder)

    assert [row["kind"] for row in some["items"]] == ["log", "sample"]
    assert [row["payload"]["message"] for row in logs["items"]] == [f"line {number}" for number in range(5)]
    later = events(researcher, run, after=some["cursor"])["items"]
    assert [row["payload"]["message"] for row in later] == ["later"]


@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40), st.integers(1, 39))
def test_rollup_equals_values(run: str, values: list[float], cut: int) -> None:
    """However the readings are cut into transactions, every bucket holds n, mean, min and max of its values."""
    rows = [Reading(f"m{uuid.uuid4().hex}", step, value, step) for step, value in enumerate(values)]
    rows = [row._replace(name=rows[0].name) for row in rows]
    for part in (rows[:cut], rows[cut:], rows):
        with transaction() as session:
            readings.record(session, uuid.UUID(run), part)
    with transaction() as session:
        found = session.scalars(
            select(MetricRollup).where(MetricRollup.name == rows[0].name, MetricRollup.level == 1)
        ).all()

    clipped = [max(-readings.LARGEST, min(readings.LARGEST, value)) for value in values]
    for bucket in found:
        inside = clipped[bucket.bucket * 8 : bucket.bucket * 8 + 8]
        assert bucket.n == len(inside)
        assert (bucket.min, bucket.max) == pytest.approx((min(inside), max(inside)), abs=1e-280)
        scale = max(abs(value) for value in inside)
        mean = math.fsum(value / len(inside) for value in inside)
        assert math.isclose(bucket.mean, mean, rel_tol=1e-9, abs_tol=max(1e-9 * scale, 1e-300))
    assert sum(bucket.n for bucket in found) == len(values)


def test_sparklines_are_one_query(researcher: Client, launched: Launched) -> None:
    """The courses of a page's runs come in one query: each the finest level that fits, oldest first, at most so many
    values; gaps are left out, and a run without the metric has an empty one."""
    wanted = {"raw": 64, "first level": 65, "second level": 600, "none": 0}
    ids = {what: uuid.UUID(launched(name=what)["id"]) for what in wanted}
    with transaction() as session:
        for what, steps in wanted.items():
            values = [Reading("loss", step, None if step == 3 else float(step), step) for step in range(steps)]
            readings.record(session, ids[what], [*values, Reading("lr", 1, 1.0, 1)])

    with transaction() as session, counted() as statements:
        lines = readings.sparkline(session, list(ids.values()), "loss", 64)

    assert len(statements) == 1
    assert lines[ids["raw"]] == [float(step) for step in range(64) if step != 3]
    assert lines[ids["first level"]] == pytest.approx([25 / 7, *(n * 8 + 3.5 for n in range(1, 8)), 64.0])
    assert lines[ids["second level"]][1:] == pytest.approx([n * 64 + 31.5 for n in range(1, 9)] + [587.5])
    assert lines[ids["none"]] == []
    with transaction() as session:
        assert readings.sparkline(session, [], "loss", 64) == {}


@pytest.mark.parametrize("state", ["succeeded", "failed", "lost"])
def test_ended_stays_ended(researcher: Client, run: str, state: str) -> None:
    """What has ended otherwise cannot be cancelled."""
    change(run, state=state)

    assert researcher.post(f"/api/v1/runs/{run}/cancel").status_code == 409
