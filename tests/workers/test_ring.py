"""The doorbell and its worker: lost messages, doubled ones, and a worker that is told to stop or loses its parent."""

import ast
import os
import signal
import subprocess
import sys
import uuid
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis
from celery import Celery, signals
from sqlalchemy.orm import Session

from backend import queue
from backend.datasets.models import Import, Upload
from backend.db import transaction
from backend.projects import service as projects
from backend.queue import QUEUES, ring
from backend.work import State, now
from plumbline.embedded import Embedded
from workers import shutdown
from workers.celery_app import RING_SECONDS, SWEEP_SECONDS, app
from workers.tasks import ring as ringing

ROOT = Path(__file__).parents[2]


@pytest.fixture
def doorbell(clean: None, servers: Embedded) -> "redis.Redis":
    """The broker, with nothing in it."""
    return redis.Redis.from_url(servers.redis_url)


def queued(session: Session, *, age: timedelta, state: State = State.queued) -> Import:
    """An import that has waited for `age`."""
    project = projects.default(session)
    upload = Upload(project_id=project.id, filename="x", size=1, sha256="0" * 64, path=str(uuid.uuid4()))
    session.add(upload)
    session.flush()
    row = Import(project_id=project.id, upload_id=upload.id, name=str(upload.id), format="trl", state=state)
    row.created_at = now() - age
    session.add(row)
    return row


def waiting(doorbell: "redis.Redis", queue: str) -> int:
    count = doorbell.llen(queue)
    assert isinstance(count, int)
    return count


def test_every_task_has_its_module() -> None:
    """Each task name leads to a module with `work()`, which takes nothing."""
    assert set(QUEUES) <= set(app.tasks)
    for name in QUEUES:
        spec = find_spec(f"workers.tasks.{name.removeprefix('plumbline.')}")
        assert spec is not None
        assert spec.origin is not None
        functions = [
            node for node in ast.parse(Path(spec.origin).read_text()).body if isinstance(node, ast.FunctionDef)
        ]
        [work] = [function for function in functions if function.name == "work"]
        assert not work.args.args


def test_a_task_is_never_delivered_twice_by_design() -> None:
    """Messages are acknowledged before the work, one at a time, and beat's own grow stale before the next."""
    conf = app.conf
    assert not conf.task_acks_late
    assert conf.worker_disable_prefetch
    assert conf.accept_content == ["json"]
    assert conf.beat_schedule["ring"]["options"]["expires"] <= RING_SECONDS
    assert conf.beat_schedule["sweep"]["options"]["expires"] <= SWEEP_SECONDS


def test_a_row_whose_ring_was_lost_is_rung_again(doorbell: "redis.Redis") -> None:
    """The broker may forget everything: the row is in the database, and beat's task finds it."""
    with transaction() as session:
        queued(session, age=timedelta(seconds=10))
        ring(session, "imports")
    assert waiting(doorbell, "light") == 1
    doorbell.flushall()
    ringing.work()
    assert waiting(doorbell, "light") == 1


def test_nothing_waits_nothing_rings(doorbell: "redis.Redis") -> None:
    """Fresh rows, whose own ring is on its way, and rows that somebody has claimed make no noise."""
    with transaction() as session:
        queued(session, age=timedelta(seconds=0))
        queued(session, age=timedelta(hours=1), state=State.running)
        queued(session, age=timedelta(hours=1), state=State.failed)
    ringing.work()
    assert waiting(doorbell, "light") == 0


def test_rings_do_not_pile_up(doorbell: "redis.Redis") -> None:
    """While all workers are busy for hours, the queue stays short."""
    with transaction() as session:
        queued(session, age=timedelta(seconds=10))
    for _ in range(ringing.ENOUGH + 10):
        ringing.work()
    assert waiting(doorbell, "light") == ringing.ENOUGH


def test_every_bell_has_a_table() -> None:
    """A new kind of work that beat would not ring for is noticed; messages to webhooks are asked for by themselves."""
    no_rows = {"plumbline.ring", "plumbline.sweep", "plumbline.retention", "plumbline.webhooks"}
    assert {f"plumbline.{bell}" for bell in ringing.TABLES} == set(QUEUES) - no_rows


def test_a_broker_that_is_away_breaks_nothing(clean: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Committing with nobody at the bell succeeds; the row stays queued for beat."""
    nobody = Celery(broker=f"redis+socket://{tmp_path}/nobody.sock")
    monkeypatch.setattr(queue, "get_celery", lambda: nobody)
    with transaction() as session:
        row = queued(session, age=timedelta(0))
        ring(session, "imports")
    with transaction() as session:
        assert session.get_one(Import, row.id).state == State.queued


def test_a_worker_that_starts_lets_idle_threads_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever answers prompts beside web and training does not spin; what somebody has set stays set."""
    ours = {"OMP_WAIT_POLICY": "passive", "MKL_DISABLE_FAST_MM": "1"}
    theirs = {"OMP_WAIT_POLICY": "active", "MKL_DISABLE_FAST_MM": "0"}
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    signals.worker_init.send(sender=None)
    assert {name: os.environ[name] for name in theirs} == theirs

    for name in ours:
        monkeypatch.delenv(name)
    signals.worker_init.send(sender=None)
    assert {name: os.environ[name] for name in ours} == ours


def test_a_stop_is_seen_by_forked_workers() -> None:
    """The flag set in the worker's main process is read in the processes of its pool."""
    code = (
        "import os\nfrom workers import shutdown\n"
        "reader, writer = os.pipe()\nchild = os.fork()\n"
        "if child == 0:\n    os.read(reader, 1)\n    os._exit(3 if shutdown.asked() else 4)\n"
        "assert not shutdown.asked()\nshutdown.ask()\nos.write(writer, b'.')\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3"
    assert not shutdown.asked()


def test_a_broken_lifeline_ends_the_process() -> None:
    """A process whose parent is gone gets the same signal as from a parent that stops in order."""
    code = "import time\nfrom workers import lifeline\nlifeline.hold()\nprint('held', flush=True)\ntime.sleep(60)"
    reader, writer = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PLUMBLINE_LIFELINE_FD": str(reader)},
        pass_fds=[reader],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(reader)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert process.poll() is None
        os.close(writer)
        assert process.wait(10) == -signal.SIGTERM
