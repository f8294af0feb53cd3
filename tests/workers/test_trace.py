"""One request's id, from the answer to the browser to the last line of the training process."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from backend import trace
from backend.accounts.models import Role
from backend.checkpoints.models import Fetch
from backend.db import transaction
from backend.runs.models import Run
from backend.settings import Settings
from backend.work import State, claim
from tests import loop
from tests.conftest import Client
from workers.celery_app import app
from workers.tasks import train

pytestmark = pytest.mark.usefixtures("warm")

ASKED = "browser-7f3a.1"


@pytest.fixture(autouse=True)
def _untraced() -> None:
    trace.forget()


def of_a_run(folder: Path) -> list[dict[str, str]]:
    """What a training process wrote into its log."""
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [line for line in lines if line["type"] == "log"]


@pytest.mark.slow
def test_web_worker_and_trainer_share_the_id(make_client: Callable[..., Client], tiny: Path) -> None:
    """A launched run: the answer, the web server's line, the row, the worker's lines and the trainer's carry the id
    of the request, those after the claim the run's too; and what the worker does next carries neither."""
    client = make_client(Role.researcher)
    body = loop.run_body(loop.add_checkpoint(tiny), loop.add_dataset(), duration={"steps": 2})
    with capture_logs([structlog.contextvars.merge_contextvars]) as web:
        answer = client.post("/api/v1/runs", json=body, headers={trace.HEADER: ASKED})
    assert answer.status_code == 202, answer.text
    assert answer.headers[trace.HEADER] == ASKED
    assert [line["request_id"] for line in web if line["event"] == "request"] == [ASKED]
    run_id = answer.json()["id"]
    assert "request_id" not in answer.json()

    with capture_logs([structlog.contextvars.merge_contextvars]) as worker:
        train.work()
    with transaction() as session:
        run = session.get_one(Run, run_id)
        assert (run.state, run.request_id) == (State.succeeded, ASKED)
    ids = {(line.get("request_id"), line.get("run_id")) for line in worker}
    assert ids == {(ASKED, run_id)}
    assert {"run starts", "run ended"} <= {line["event"] for line in worker}
    trainer = of_a_run(train.run_folder(run.id))
    assert trainer
    assert {(line["request_id"], line["run_id"]) for line in trainer} == {(ASKED, run_id)}

    app.tasks["plumbline.ring"]()
    assert structlog.contextvars.get_contextvars() == {}


def test_each_row_brings_its_own_id(queue_run: Callable[..., Run], settings: Settings) -> None:
    """A worker that takes one row after the other never logs a row under the id of another's request, and a row that
    nobody's request asked for has none."""
    for asked in ("first", "second", None):
        with structlog.contextvars.bound_contextvars(**({"request_id": asked} if asked else {})):
            queue_run()
    seen = []
    for _ in range(3):
        with transaction() as session:
            run = claim(session, Run)
            assert run is not None
            ids = structlog.contextvars.get_contextvars()
            assert ids["run_id"] == str(run.id)
            seen.append(ids.get("request_id"))
    assert seen == ["first", "second", None]
    with transaction() as session:
        assert claim(session, Fetch) is None


def test_the_ids_reach_a_child_as_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment holds the ids and nothing else; a training process with a variable that makes no sense, or with
    none, writes its log without ids."""
    from alignment.training.events import TRACE, Events

    assert trace.VARIABLE == TRACE
    with structlog.contextvars.bound_contextvars(request_id="r", run_id="u"):
        assert json.loads(trace.environment()[TRACE]) == {"request_id": "r", "run_id": "u"}
    for number, text in enumerate(("{", "[1]", "null", "")):
        monkeypatch.setenv(TRACE, text)
        path = tmp_path / f"{number}.jsonl"
        with Events(path) as events:
            events.log("starting")
        assert set(json.loads(path.read_text())) == {"type", "time", "level", "message"}
