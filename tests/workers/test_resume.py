"""Runs that were killed, cancelled or lost, and go on in the same row: the charts, the page's facts and the end."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from backend import storage
from backend.db import transaction
from backend.projects import service as projects
from backend.runs import readings, resuming, service
from backend.runs.models import Metric, MetricRollup, Run, RunEvent
from backend.runs.readings import Reading
from backend.runs.resuming import NotResumable
from backend.runs.schemas import ContinueIn
from backend.runs.sink import drain
from backend.work import State
from workers.tasks import train

pytestmark = pytest.mark.usefixtures("warm")

QueueRun = Callable[..., Run]
SHORT = {"duration": {"steps": 60}, "evaluate": {"every_steps": 20, "samples": 1}}
VALUES = ("loss", "grad_norm", "eval/loss")
Curve = dict[tuple[str, int], float | None]


def row(run: Run) -> Run:
    with transaction() as session:
        return session.get_one(Run, run.id)


def resume(run: Run) -> Run:
    with transaction() as session:
        return resuming.resume(session, projects.default(session), run.id, ContinueIn())


def curve(run: Run) -> Curve:
    with transaction() as session:
        found = session.scalars(select(Metric).where(Metric.run_id == run.id, Metric.name.in_(VALUES)))
        return {(metric.name, metric.step): metric.value for metric in found}


@pytest.fixture
def worker() -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts a worker that takes what is queued."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "from workers.tasks import train; train.work()"]
        started.append(subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_page(
    queue_run: QueueRun, worker: Callable[[], subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between two states, it continues: every step has one value, that of a run that nobody touched; its
    earlier last words count no more, and what it took is gone at the end."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run = queue_run(**SHORT)
    process = worker()
    limit = time.monotonic() + 120
    events = train.run_folder(run.id) / "events.jsonl"
    while not (events.exists() and b'"type": "state"' in events.read_bytes()):
        assert time.monotonic() < limit, row(run).reason
        time.sleep(0.005)
    group = row(run).process_group
    assert group
    os.killpg(group, signal.SIGKILL)
    assert process.wait(60) == 0
    ended = row(run)
    assert (ended.state, ended.failure) == (State.failed, "killed")
    assert ended.state_step in (20, 40)
    assert ended.state_host is None

    again = resume(run)
    assert (again.state, again.done, again.reason) == (State.queued, ended.state_step, None)
    whole = queue_run(**SHORT)
    assert worker().wait(120) == 0

    for one in (row(run), row(whole)):
        assert (one.state, one.done, one.state_step) == (State.succeeded, 60, None), one.reason
    assert curve(run) == curve(whole)
    assert not (train.run_folder(run.id) / "state").exists()
    with transaction() as session:
        kinds = list(session.scalars(select(RunEvent.kind).where(RunEvent.run_id == run.id).order_by(RunEvent.id)))
        samples = select(RunEvent.step).where(RunEvent.run_id == run.id, RunEvent.kind == "sample")
        assert sorted(step or 0 for step in session.scalars(samples)) == [20, 40, 60]
        counted = select(MetricRollup.n).where(MetricRollup.run_id == run.id, MetricRollup.name == "loss")
        assert sum(session.scalars(counted.where(MetricRollup.level == 1))) == 60
        assert session.scalar(counted.where(MetricRollup.level == 7)) == 60
    assert kinds.index("continued") < kinds.index("resumed") < kinds.index("done")


def tell(folder: Path, *events: dict[str, object]) -> None:
    with (folder / "events.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


def take(run: Run, folder: Path) -> Run:
    with transaction() as session:
        found = session.get_one(Run, run.id, with_for_update=True)
        drain(session, found, folder)
        return found


def step(number: int, value: float) -> dict[str, object]:
    return {"type": "step", "step": number, "total_steps": 40, "examples": 4, "values": {"loss": value}}


def test_what_was_told_of_later_steps_is_taken_back(queue_run: QueueRun, tmp_path: Path) -> None:
    """The later word counts, in the values and in every level of the ladder; an old cursor is answered with all."""
    run = queue_run()
    sample = {"type": "sample", "step": 10, "response": "twice"}
    tell(tmp_path, *(step(number, number) for number in range(1, 21)), sample)
    before = take(run, tmp_path).events_offset
    tell(tmp_path, {"type": "resumed", "step": 10, "evaluates": True}, sample, *(step(n, -n) for n in range(11, 16)))
    after = take(run, tmp_path)

    assert (after.done, after.rewound_at) == (15, before)
    with transaction() as session:
        told = readings.read(session, run.id, after.events_offset, after=None, names=None, points=1000)
        assert told.series["loss"].value == [*range(1, 11), *range(-11, -16, -1)]
        old = readings.read(
            session, run.id, after.events_offset, after=before, names=None, points=1000, rewound=after.rewound_at
        )
        assert old.whole
        new = readings.read(
            session, run.id, after.events_offset, after=before + 1, names=None, points=1000, rewound=after.rewound_at
        )
        assert not new.whole
        samples = select(RunEvent).where(RunEvent.run_id == run.id, RunEvent.kind == "sample")
        assert len(session.scalars(samples).all()) == 1
        rolled = session.scalars(select(MetricRollup).where(MetricRollup.run_id == run.id)).all()
    found = {(one.level, one.bucket): (one.n, one.mean, one.min, one.max) for one in rolled}
    values = dict(zip(range(1, 16), told.series["loss"].value, strict=True))
    for (level, bucket), (n, mean, low, high) in found.items():
        own = [float(value or 0) for number, value in values.items() if number >> 3 * level == bucket]
        assert (n, low, high) == (len(own), min(own), max(own))
        assert mean == pytest.approx(sum(own) / len(own))
    assert {level for level, _ in found} == set(range(1, 8))


def test_a_ladder_of_extreme_values_is_summed_up_anew(queue_run: QueueRun) -> None:
    """Neither the largest nor the smallest float, nor one that is none, stops a run from being taken back."""
    run = queue_run()
    values = (1.7e308, -1.7e308, 5e-324, None, 1.7e308)
    with transaction() as session:
        readings.record(session, run.id, [Reading("x", at, value, at) for at, value in enumerate(values)])
        readings.forget(session, run.id, 3)
        rolled = session.scalars(select(MetricRollup).where(MetricRollup.run_id == run.id)).all()

    assert {one.n for one in rolled} == {3}
    assert {one.max for one in rolled} == {1e290}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"state": State.running, "state_step": 3}, "running"),
        ({"state": State.succeeded, "state_step": 3}, "succeeded"),
        ({"state": State.failed, "state_step": None}, "Nothing to go on from"),
        ({"state": State.failed, "state_step": 3}, "gone from the storage"),
        ({"state": State.failed, "state_step": 3, "place": "elsewhere"}, "elsewhere"),
    ],
)
def test_what_cannot_go_on_says_why(values: dict[str, object], words: str, queue_run: QueueRun) -> None:
    """A conflict with a sentence and a way out, and the row stays as it is."""
    run = queue_run()
    with transaction() as session:
        session.execute(update(Run).where(Run.id == run.id).values(**values))

    with pytest.raises(NotResumable, match=words) as refused:
        resume(run)
    assert refused.value.remedy
    assert row(run).state == values["state"]


def test_a_state_on_another_machine_waits_for_that_machine(queue_run: QueueRun) -> None:
    """No other worker takes the run, nor deletes anything; where the state is gone, the run says so."""
    run = queue_run()
    with transaction() as session:
        session.execute(update(Run).where(Run.id == run.id).values(state_step=3, state_host="somewhere-else"))

    train.work()
    assert row(run).state == State.queued

    with transaction() as session:
        session.execute(update(Run).where(Run.id == run.id).values(state_host=None))
    train.work()
    ended = row(run)
    assert (ended.state, ended.failure) == (State.failed, "state")
    assert "step 3" in (ended.reason or "")


def test_smaller_packs_are_told_to_training(queue_run: QueueRun, tmp_path: Path) -> None:
    """What ran out of memory goes on with what the caller says, and the run's own spec says so."""
    run = queue_run()
    folder = train.run_folder(run.id) / "state" / "3"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text("{}")
    with transaction() as session:
        session.execute(update(Run).where(Run.id == run.id).values(state=State.failed, state_step=3))
    with transaction() as session:
        resuming.resume(session, projects.default(session), run.id, ContinueIn(tokens_per_pack=64))

    assert row(run).spec["batch"]["tokens_per_pack"] == 64
    assert storage.get_storage().exists(f"runs/{run.id}/state/3")
    with transaction() as session:
        service.cancel(session, projects.default(session), run.id)
    shutil.rmtree(folder)
