"""Sweeps: what cannot be swept stops nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from backend import work
from backend.checkpoints import fetches
from backend.db import transaction
from backend.runs.models import Run
from backend.work import State
from workers.tasks import sweep

NOBODY = 2**22 + 1  # no process has this number


def test_a_run_that_cannot_be_read_is_ended_alone(
    queue_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends as unexpected; the sweep beside it and the run after it are done all the same; the errors are raised."""
    runs = [queue_run(), queue_run()]
    with transaction() as session:
        for _ in runs:
            taken = work.claim(session, Run)
            assert taken is not None
            taken.pid = NOBODY

    def drain(session: Session, run: Run, folder: Path, *_: object) -> bool:
        if run.id == runs[0].id:
            raise ValueError("unreadable")
        return False

    def broken(session: Session) -> int:
        raise RuntimeError("no disk")

    monkeypatch.setattr(sweep, "drain", drain)
    monkeypatch.setattr(fetches, "sweep", broken)
    monkeypatch.setattr(sweep, "SECOND_LOOK_SECONDS", 0)

    with pytest.raises(ExceptionGroup) as raised:
        sweep.work()

    assert [type(error) for error in raised.value.exceptions] == [RuntimeError, ValueError]
    with transaction() as session:
        ended = [session.get_one(Run, run.id) for run in runs]
    assert [(run.state, run.failure) for run in ended] == [
        (State.failed, "unexpected"),
        (State.failed, "worker_gone"),
    ]
