"""How a run ended, in words, when its process did not say it all."""

import signal
from collections.abc import Callable

import pytest

from backend.db import transaction
from backend.runs import ending
from backend.runs.models import Run, RunEvent
from backend.work import State


@pytest.mark.parametrize(("number", "name"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGRTMIN + 3, "signal 37")])
def test_every_signal_is_named(queue_run: Callable[..., Run], number: int, name: str) -> None:
    """A signal that Python has no name for still ends the run, with its number."""
    with transaction() as session:
        run = session.get_one(Run, queue_run().id, with_for_update=True)
        ending.conclude(session, run, -number)
        assert (run.state, run.failure) == (State.failed, "killed")
        assert f"({name})" in (run.reason or "")


def test_a_stop_that_nobody_here_asked_for(queue_run: Callable[..., Run]) -> None:
    """SIGTERM from somewhere else: the process saved and ended well, which is no unexpected error."""
    with transaction() as session:
        run = session.get_one(Run, queue_run().id, with_for_update=True)
        run.done = 3
        session.add(RunEvent(run_id=run.id, kind="done", step=3, payload={"cancelled": True}))
        session.flush()
        ending.conclude(session, run, 0)
        assert (run.state, run.failure) == (State.failed, "stopped")
        assert "outside Plumbline" in (run.reason or "")
        assert "up to step 3 is kept" in (run.remedy or "")
        assert "Launch the run again." in (run.remedy or "")


def test_what_can_go_on_is_said_to(queue_run: Callable[..., Run]) -> None:
    """Whoever reads what to do is sent to the step that was saved, not back to the beginning."""
    with transaction() as session:
        run = session.get_one(Run, queue_run().id, with_for_update=True)
        run.done, run.state_step = 7, 5
        causes = (ending.stopped(run), ending.worker_gone(run), ending.silent(run))

    assert all("Continue the run from step 5." in cause.remedy for cause in causes)
