"""`plumbline train --report`: a program with a token and nothing else trains, reports, stops and comes back."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from backend import storage
from backend.accounts.models import Role
from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.reports import service as reports
from backend.runs.models import Metric, Run
from backend.work import State, request_stop
from plumbline.report_inputs import OtherSpec, OtherWeights
from plumbline.report_line import NotHttps, ReportLine
from tests import loop
from tests.people import add_person

pytestmark = pytest.mark.usefixtures("warm")
SERVER = """
import sys, uvicorn
from backend.app import create_app
from backend.settings import get_settings
uvicorn.run(create_app(get_settings()), port=int(sys.argv[1]), log_level="error")
"""
LONG = {
    "duration": {"steps": 100_000},
    "evaluate": {"every_steps": 100, "samples": 0},
    "batch": {"examples_per_step": 32},
    "keep": {"last": 1, "best": None},
}
MINE = ("DATABASE_URL", "REDIS_URL", "PLUMBLINE_DATA")
Begin = Callable[..., tuple[Run, "subprocess.Popen[bytes]"]]


class Served:
    """A server that can be taken away and brought back at one address."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", SERVER, str(self.port)])
        wait(self._answers)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def served(clean: None) -> Iterator[Served]:
    server = Served()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def begin(clean: None, tmp_path: Path, served: Served) -> Iterator[Begin]:
    """Launches a run for elsewhere, and starts the program that trains it, which has nothing but its token."""
    tiny = loop.tiny_checkpoint(tmp_path / "tiny")
    with transaction() as session:
        user = add_person(session, Role.researcher)
    checkpoint, dataset = loop.add_checkpoint(tiny), loop.add_dataset()
    started: list[subprocess.Popen[bytes]] = []

    def start(**changes: object) -> tuple[Run, "subprocess.Popen[bytes]"]:
        run = loop.add_run(user, checkpoint, dataset, where="report", **changes)
        with transaction() as session:
            _, token = reports.allow(session, session.get_one(Run, run.id), user, 1)
        environment = {name: value for name, value in os.environ.items() if name not in MINE}
        url = f"http://127.0.0.1:{served.port}/api/v1/report/{run.id}"
        command = [sys.executable, "-m", "plumbline", "train", "--report", url, "--out", str(tmp_path / "out")]
        environment |= {"PLUMBLINE_REPORT_TOKEN": token, "OMP_NUM_THREADS": "1"}
        started.append(subprocess.Popen(command, env=environment, cwd=tmp_path))
        return run, started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def wait(until: Callable[[], object], seconds: float = 120) -> None:
    limit = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < limit
        time.sleep(0.1)


def row(run: Run) -> Run:
    with transaction() as session:
        return session.get_one(Run, run.id)


def made(run: Run) -> list[Checkpoint]:
    with transaction() as session:
        found = select(Checkpoint).where(Checkpoint.run_id == run.id).order_by(Checkpoint.step)
        return list(session.scalars(found))


def steps_here(out: Path) -> int:
    lines = (out / "events.jsonl").read_text().splitlines() if (out / "events.jsonl").exists() else []
    return sum('"type": "step"' in line for line in lines)


@pytest.mark.slow
def test_trained_elsewhere(begin: Begin, tmp_path: Path) -> None:
    """The run ends succeeded, with every metric and its adapters, whose base is the server's."""
    run, process = begin(tuning={"kind": "lora", "rank": 2, "alpha": 4})
    assert process.wait(150) == 0

    ended = row(run)
    assert (ended.state, ended.done, ended.reason) == (State.succeeded, 4, None)
    assert (ended.reporter or {})["host"] == socket.gethostname()
    with transaction() as session:
        found = select(Metric.step).where(Metric.run_id == run.id, Metric.name == "loss").order_by(Metric.step)
        assert list(session.scalars(found)) == [1, 2, 3, 4]
    assert [checkpoint.step for checkpoint in made(run)] == [2, 4]
    sent = storage.local(made(run)[1].path)
    kept = tmp_path / "out" / "checkpoints" / "4"
    assert (sent / "adapter_model.safetensors").read_bytes() == (kept / "adapter_model.safetensors").read_bytes()


@pytest.mark.slow
def test_outage_and_cancel(begin: Begin, served: Served, tmp_path: Path) -> None:
    """Training goes on while the server is away, everything is told afterwards, and a cancel saves and ends it."""
    run, process = begin(**LONG)
    out = tmp_path / "out"
    wait(lambda: row(run).done >= 3)
    served.stop()
    before = steps_here(out)
    wait(lambda: steps_here(out) > before + 10)
    assert process.poll() is None
    told = row(run).done
    served.start()
    wait(lambda: row(run).done > max(told, before) + 10)

    with transaction() as session:
        request_stop(session.get_one(Run, run.id, with_for_update=True))
    assert process.wait(120) == 0
    ended = row(run)
    assert ended.state == State.cancelled
    with transaction() as session:
        found = select(Metric.step).where(Metric.run_id == run.id, Metric.name == "loss").order_by(Metric.step)
        assert list(session.scalars(found)) == list(range(1, ended.done + 1))
    assert made(run)[-1].step == ended.done


def test_only_safe_addresses(tmp_path: Path) -> None:
    """The token goes over HTTPS, or stays on this machine."""
    import uuid

    for address in ("http://example.org/api/v1/report/x", "ftp://example.org/x", "nothing"):
        with pytest.raises(NotHttps):
            ReportLine(address, "plr_x", uuid.uuid4())
    ReportLine("http://example.org/x", "plr_x", uuid.uuid4(), allow_http=True).close()


def test_inputs_of_this_machine(tmp_path: Path) -> None:
    """Weights and specs of this machine are taken only where they are those of the run."""
    from plumbline.report_inputs import Inputs

    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"12")
    spec = tmp_path / "run.yaml"
    recipe = {"objective": {"name": "dpo", "beta": 0.1}, "kind": "preference"}
    weights = {"name": "Base", "hub_id": None, "revision": None}
    started = {
        "recipe": recipe,
        "snapshot": {"hash": "h", "files": []},
        "checkpoint": {**weights, "links": [[{"name": "model.safetensors", "size": 3}]]},
        "reference": None,
        "third": {},
    }
    inputs = Inputs(None, started, tmp_path / "inputs", print)  # type: ignore[arg-type]
    with pytest.raises(OtherWeights, match="bytes is missing"):
        inputs.spec(None, str(folder), None)
    (folder / "model.safetensors").write_bytes(b"123")
    assert inputs.spec(None, str(folder), None).checkpoint == folder
    other = {**recipe, "objective": {"name": "dpo", "beta": 0.2}, "checkpoint": "x", "snapshots": [{"path": "y"}]}
    spec.write_text(json.dumps(other))
    with pytest.raises(OtherSpec, match="objective"):
        inputs.spec(spec, str(folder), None)


def test_a_guide_of_this_machine(tmp_path: Path) -> None:
    """Another checkpoint that the objective asks for is taken from the paths of a spec, if it is the run's."""
    from plumbline.report_inputs import Inputs

    folder, data, spec = tmp_path / "weights", tmp_path / "snapshot", tmp_path / "run.yaml"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"123")
    data.mkdir()
    (data / "manifest.json").write_text('{"hash": "h"}')
    recipe = {"objective": {"name": "tgdpo", "beta": 0.1}, "kind": "preference"}
    weights = {"name": "Base", "hub_id": None, "revision": None}
    there = {**weights, "links": [[{"name": "model.safetensors", "size": 3}]]}
    started = {
        "recipe": recipe,
        "snapshot": {"hash": "h", "files": []},
        "checkpoint": there,
        "reference": None,
        "third": {"guide": {**weights, "links": [[]]}},
    }
    paths = {"checkpoint": str(folder), "snapshots": [{"path": str(data)}], "third": {"guide": str(folder)}}
    spec.write_text(json.dumps({**recipe, **paths}))
    inputs = Inputs(None, started, tmp_path / "inputs", print)  # type: ignore[arg-type]

    assert inputs.spec(spec, None, None).third == {"guide": folder}
    with pytest.raises(OtherWeights, match=r"third\.guide"):
        inputs.spec(None, str(folder), None)
