"""The training task on real parts: a queued run, a real training process, rows."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from backend import storage
from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.runs.models import Metric, MetricRollup, Run, RunEvent
from backend.work import State
from workers.tasks import train

pytestmark = pytest.mark.usefixtures("warm")

QueueRun = Callable[..., Run]


def again(run: Run) -> Run:
    with transaction() as session:
        return session.get_one(Run, run.id)


def test_a_run_that_cannot_be_followed_is_ended(queue_run: QueueRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its events cannot be stored, process and run are ended, with a reason; the log has the error."""
    run = queue_run()

    def drain(*_: object) -> bool:
        raise ValueError("nobody thought of this line")

    monkeypatch.setattr(train, "drain", drain)
    with pytest.raises(ValueError, match="nobody thought"):
        train.work()

    run = again(run)
    assert (run.state, run.failure) == (State.failed, "unexpected")
    assert run.reason
    assert run.remedy
    assert run.process_group is None or not Path(f"/proc/{run.process_group}").exists()


@pytest.mark.slow
def test_run_to_checkpoint(queue_run: QueueRun) -> None:
    """A queued run ends succeeded with its metrics, samples, log, and checkpoints whose parent is its base."""
    run = queue_run()

    train.work()

    run = again(run)
    assert (run.state, run.reason) == (State.succeeded, None)
    assert (run.done, run.total) == (4, 4)
    with transaction() as session:
        made = session.scalars(select(Checkpoint).where(Checkpoint.run_id == run.id).order_by(Checkpoint.step)).all()
        steps = session.scalars(select(Metric.step).where(Metric.run_id == run.id, Metric.name == "loss")).all()
        kinds = set(session.scalars(select(RunEvent.kind).where(RunEvent.run_id == run.id)))
        rolled = session.scalars(
            select(MetricRollup.n).where(MetricRollup.run_id == run.id, MetricRollup.name == "loss")
        ).all()
    assert [checkpoint.step for checkpoint in made] == [2, 4]
    assert {checkpoint.parent_id for checkpoint in made} == {run.checkpoint_id}
    assert all(storage.local(checkpoint.path).is_dir() for checkpoint in made)
    assert sorted(steps) == [1, 2, 3, 4]
    assert {"log", "sample", "checkpoint", "done"} <= kinds
    assert set(rolled) == {4}


@pytest.mark.slow
def test_a_run_on_two_devices(queue_run: QueueRun) -> None:
    """The worker trains it as any other: its checkpoints are stored, and the row says on how many devices."""
    run = queue_run(devices=2)

    train.work()

    run = again(run)
    assert (run.state, run.reason) == (State.succeeded, None)
    assert (run.done, run.devices) == (4, 2)
    with transaction() as session:
        made = session.scalars(select(Checkpoint.step).where(Checkpoint.run_id == run.id)).all()
    assert sorted(step for step in made if step) == [2, 4]
