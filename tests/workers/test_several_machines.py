"""Machines with data folders of their own and one storage: what one has made another uses."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from alignment.training import whole
from backend import storage
from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.projects import service as projects
from backend.runs import service
from backend.runs.models import Run
from backend.runs.sink import EVENTS
from backend.settings import Settings
from backend.work import State, now
from tests import s3
from workers import publisher
from workers.answering import Shelf, Watch
from workers.tasks import sweep, train

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning"), pytest.mark.usefixtures("warm")]
QueueRun = Callable[..., Run]
LORA = {"tuning": {"kind": "lora", "rank": 2, "alpha": 4}, "keep": {"last": 1, "best": None}}
LONG = {
    "duration": {"steps": 100_000},
    "evaluate": {"every_steps": 20, "samples": 0},
    "keep": {"last": 2, "best": None},
}
OTHER_HOST = """
import socket, sys
socket.gethostname = lambda: "host-b"
from workers.tasks import sweep, train
getattr({"train": train, "sweep": sweep}[sys.argv[1]], sys.argv[2])()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[s3.Server]:
    with s3.serving() as running:
        yield running


@pytest.fixture(params=["folder", "s3"])
def shared(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One storage for everybody: a folder, or a bucket."""
    where = str(tmp_path / "shared")
    if request.param == "s3":
        where = f"s3://plumbline/{uuid.uuid4().hex}"
        for name, value in request.getfixturevalue("server").environment.items():
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(settings, "storage", where)
    return where


@pytest.fixture
def on_b(shared: str, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Runs a task as another machine would: its own data folder, its own name."""
    started: list[subprocess.Popen[bytes]] = []

    def start(module: str = "train", task: str = "work", **more: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PLUMBLINE_DATA": str(tmp_path / "b"), "PLUMBLINE_STORAGE": shared}
        command = [sys.executable, "-c", OTHER_HOST, module, task]
        started.append(subprocess.Popen(command, env={**environment, "OMP_NUM_THREADS": "1", **more}))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def stored_base(queue_run: QueueRun, tiny: Path, shared: str) -> QueueRun:
    """Queues runs whose base lies in the storage, as one that was fetched on another machine."""
    key = f"checkpoints/{uuid.uuid4()}"
    storage.put(tiny, key)
    with transaction() as session:
        session.execute(update(Checkpoint).values(path=key))
    return queue_run


def row(run: Run) -> Run:
    with transaction() as session:
        return session.get_one(Run, run.id)


def products(run: Run) -> list[Checkpoint]:
    with transaction() as session:
        made = select(Checkpoint).where(Checkpoint.run_id == run.id).order_by(Checkpoint.step)
        return list(session.scalars(made))


def wait(run: Run, until: Callable[[Run], bool]) -> Run:
    limit = time.monotonic() + 120
    while not until(found := row(run)):
        assert time.monotonic() < limit, (found.state, found.done, found.reason)
        time.sleep(0.2)
    return found


def test_trained_there_used_here(
    stored_base: QueueRun, on_b: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """Data and base are from here, a worker elsewhere trains, and its adapter answers here; rows name no machine."""
    run = stored_base(**LORA)
    assert on_b().wait(120) == 0

    ended = row(run)
    assert (ended.state, ended.reason, ended.host) == (State.succeeded, None, "host-b")
    (made,) = products(run)
    assert made.path == f"runs/{run.id}/checkpoints/4"
    assert made.adapter
    assert checkpoints.available(made)
    assert not (tmp_path / "b" / "runs" / str(run.id) / "checkpoints").exists()
    shutil.rmtree(tmp_path / "b")  # that machine is gone, and what it has made is not
    from alignment.sampling import Sampling

    generator = Shelf().get(made, Watch(lambda: True))
    (answer,) = generator.generate([[{"role": "user", "content": "Hello"}]], Sampling(max_new_tokens=4))
    assert answer.tokens > 0
    with transaction() as session:
        assert service.materials(session, row(run)).shown().checkpoint


@pytest.mark.parametrize("shared", ["s3"], indirect=True)
def test_host_dies(stored_base: QueueRun, on_b: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    """What a machine stored before it died can be used; back again, it tells what it had not told."""
    run = stored_base(**LONG)
    process = on_b()
    found = wait(run, lambda run: run.done >= 20 and len(products(run)) > 0)
    assert found.process_group is not None
    os.kill(process.pid, signal.SIGSTOP)  # nothing is told any more, while training goes on a little
    time.sleep(1)
    os.killpg(found.process_group, signal.SIGKILL)
    process.kill()
    process.wait()
    with transaction() as session:
        session.execute(update(Run).values(heartbeat_at=now() - timedelta(minutes=5)))

    sweep.work()
    lost = row(run)
    assert (lost.state, lost.failure) == (State.lost, "silent")
    assert "host-b" in (lost.reason or "")
    made = products(run)
    assert storage.local(made[0].path).is_dir()

    assert on_b("sweep", "own").wait(60) == 0
    back = row(run)
    assert (back.state, back.failure) == (State.failed, "worker_gone")
    assert back.done > lost.done


def test_a_checkpoint_on_its_way_stays(stored_base: QueueRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever looks ahead may come to a checkpoint after it has begun to be sent, and training may be done with it."""
    run, here = stored_base(), tmp_path / "elsewhere"
    made = here / "checkpoints" / "2"
    made.mkdir(parents=True)
    (made / "weights").write_text("learned")
    event = {"type": "checkpoint", "step": 2, "path": str(made)}
    (here / EVENTS).write_text(json.dumps(event) + "\n")
    going, real = threading.Event(), storage.put

    def slow(*given: Any, **more: Any) -> str:
        assert going.wait(60)
        return real(*given, **more)

    monkeypatch.setattr(storage, "put", slow)
    with publisher.Publisher(here) as found:
        assert not found.ready(run, event)
        shutil.rmtree(made)
        found.scan(run.id)
        going.set()

    assert (found.trouble, found.sent) == (None, True)
    assert (storage.local(f"runs/{run.id}/checkpoints/2") / "weights").read_text() == "learned"


@pytest.mark.parametrize("shared", ["folder"], indirect=True)
def test_a_checkpoint_that_goes_while_it_is_linked(
    shared: str, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What training removes in the very moment in which it is linked aside is not sent in part."""
    run, here = uuid.uuid4(), tmp_path / "elsewhere"
    made = here / "checkpoints" / "2"
    made.mkdir(parents=True)
    (made / "config").write_text("a model")
    (made / "weights").write_text("learned")
    (here / EVENTS).write_text(json.dumps({"type": "checkpoint", "step": 2, "path": str(made)}) + "\n")
    real, linked, unlink, seen = os.link, [], os.unlink, []

    def link(source: Any, *rest: Any) -> None:
        real(source, *rest)
        linked.append(source)
        if made.exists():
            whole.remove(made)

    def unlinked(*asked: Any, **more: Any) -> None:
        seen.append(made.exists())
        unlink(*asked, **more)

    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(os, "unlink", unlinked)
    with publisher.Publisher(here) as found:
        found.scan(run)
    assert linked
    assert seen[:2] == [False, False]  # it was out of sight before any of it was gone
    assert list((here / "unsent").iterdir()) == []
    assert not made.parent.joinpath(".2.partial").exists()


@pytest.mark.parametrize("shared", ["folder"], indirect=True)
def test_storage_lost(
    stored_base: QueueRun, settings: Settings, shared: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A checkpoint that cannot be stored ends its run with the reason, and is kept where it was made."""
    run = stored_base()
    monkeypatch.setattr(publisher, "PAUSES", (0.0,))

    def full(*_: object, **__: object) -> None:
        raise storage.StorageRefused("The storage refuses this machine's credentials.", remedy="Look at them.")

    monkeypatch.setattr(storage, "put", full)
    train.work()

    ended = row(run)
    assert (ended.state, ended.failure) == (State.failed, "storage")
    assert "credentials" in (ended.reason or "")
    kept = train.run_folder(run.id) / "unsent" / "2"
    assert str(kept) in (ended.remedy or "")
    assert (kept / "config.json").is_file()
    assert products(run) == []


@pytest.mark.parametrize("shared", ["s3"], indirect=True)
def test_nothing_to_train_with(
    stored_base: QueueRun, settings: Settings, shared: str, on_b: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """A worker whose storage does not know it, or that lacks the weights, ends the run with a sentence."""
    run = stored_base()
    with transaction() as session:
        storage.delete(session.get_one(Checkpoint, run.checkpoint_id).path)
    on_b().wait(60)
    ended = row(run)
    assert (ended.state, ended.failure) == (State.failed, "storage")
    assert "not in the storage" in (ended.reason or "")
    with transaction() as session:
        assert projects.default(session)
