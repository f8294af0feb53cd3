"""Runs whose worker or training process is killed: they end with the reason, and nothing of them lives on."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import func, select

from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.projects import service as projects
from backend.runs import service
from backend.runs.models import Metric, Run
from backend.settings import Settings
from backend.work import State
from workers.supervisor import orphans
from workers.tasks import sweep, train

QueueRun = Callable[..., Run]
WORKER = [sys.executable, "-c", "from workers.tasks import train; train.work()"]
LONG = {"duration": {"steps": 100_000}, "evaluate": {"every_steps": 100_000, "samples": 0}}
LIMIT_SECONDS = 120.0

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm")]


def row(run_id: uuid.UUID) -> Run:
    with transaction() as session:
        return session.get_one(Run, run_id)


def wait(run_id: uuid.UUID, until: Callable[[Run], bool], act: Callable[[], object] = lambda: None) -> Run:
    limit = time.monotonic() + LIMIT_SECONDS
    while True:
        act()
        run = row(run_id)
        if until(run):
            return run
        assert time.monotonic() < limit, (run.state, run.done, run.reason)
        time.sleep(0.2)


def left_over(run: Run) -> list[psutil.Process]:
    return orphans(str(train.run_folder(run.id)))


@pytest.fixture
def worker(settings: Settings) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts real worker processes that run the task."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(WORKER, env={**os.environ, "OMP_NUM_THREADS": "1"}))
        return started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()


def test_training_process_killed(queue_run: QueueRun, worker: Callable[[], subprocess.Popen[bytes]]) -> None:
    """kill -9 of the training process: failed within seconds, with a cause and a remedy, its metrics kept."""
    run = queue_run(**LONG)
    process = worker()
    run = wait(run.id, lambda run: run.done >= 3)
    assert run.process_group is not None

    os.killpg(run.process_group, signal.SIGKILL)

    run = wait(run.id, lambda run: run.state in (State.failed, State.succeeded))
    assert (run.state, run.failure) == (State.failed, "killed")
    assert "SIGKILL" in (run.reason or "")
    assert run.remedy
    assert process.wait(30) == 0
    assert left_over(run) == []


def test_worker_killed(queue_run: QueueRun, worker: Callable[[], subprocess.Popen[bytes]]) -> None:
    """kill -9 of the worker: the process saves and ends by itself, and the sweep ends the run with what was saved."""
    run = queue_run(**LONG)
    process = worker()
    run = wait(run.id, lambda run: run.done >= 3)

    process.kill()
    process.wait()

    run = wait(run.id, lambda run: run.state in (State.failed, State.succeeded), sweep.work)
    assert (run.state, run.failure) == (State.failed, "worker_gone")
    assert left_over(run) == []
    with transaction() as session:
        made = session.scalars(select(Checkpoint).where(Checkpoint.run_id == run.id)).all()
        steps = session.scalar(
            select(func.count()).select_from(Metric).where(Metric.run_id == run.id, Metric.name == "loss")
        )
        assert [checkpoint.step for checkpoint in made] == [run.done]
        assert checkpoints.available(made[0])
    assert steps == run.done
    sweep.work()
    assert row(run.id).finished_at == run.finished_at


def test_worker_killed_with_process_that_ignores_it(
    queue_run: QueueRun,
    worker: Callable[[], subprocess.Popen[bytes]],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A training process that does not end (here: stopped by the system) is killed once its time is over."""
    run = queue_run(**LONG)
    process = worker()
    run = wait(run.id, lambda run: run.done >= 1)
    assert run.process_group is not None
    os.killpg(run.process_group, signal.SIGSTOP)
    partial = train.run_folder(run.id) / "checkpoints" / ".7.partial"  # it was saving
    partial.mkdir(parents=True)
    process.kill()
    process.wait()

    sweep.work()
    assert row(run.id).state == State.stopping
    assert left_over(run)

    monkeypatch.setattr(settings, "stop_grace_seconds", 0.1)
    run = wait(run.id, lambda run: run.state == State.failed, sweep.work)
    assert left_over(run) == []
    assert not partial.exists()


def test_a_bystander_is_no_orphan(tmp_path: Path) -> None:
    """A person's own program that was given the run's folder is never ended; a training process of it is found."""
    wait_there = "import time; time.sleep(60)"
    commands = [[sys.executable, "-c", wait_there, *more, str(tmp_path)] for more in ([], ["alignment.training"])]
    bystander, training = (subprocess.Popen(command) for command in commands)
    try:
        assert [process.pid for process in orphans(str(tmp_path))] == [training.pid]
    finally:
        for process in (bystander, training):
            process.kill()
            process.wait()


def test_cancel(queue_run: QueueRun, worker: Callable[[], subprocess.Popen[bytes]]) -> None:
    """A cancelled run saves its last step and ends cancelled; the worker lives on."""
    run = queue_run(**LONG)
    process = worker()
    wait(run.id, lambda run: run.done >= 2)

    with transaction() as session:
        service.cancel(session, projects.default(session), run.id)

    run = wait(run.id, lambda run: run.state == State.cancelled)
    assert f"step {run.done}" in (run.reason or "")
    with transaction() as session:
        saved = session.scalars(select(Checkpoint.step).where(Checkpoint.run_id == run.id)).all()
    assert saved == [run.done]
    assert process.wait(30) == 0
    assert left_over(run) == []
