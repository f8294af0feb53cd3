"""What a run's events become, without a training process: the file is written by hand."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import select

from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.runs.models import Run, RunEvent
from backend.runs.sink import BYTES_AT_ONCE, LONGEST_LINE, drain

QueueRun = Callable[..., Run]


def tell(folder: Path, *events: dict[str, Any]) -> None:
    """Add events to the run's file."""
    with (folder / "events.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


def stored(run: Run, folder: Path) -> dict[int | None, Checkpoint]:
    """The run's checkpoints by step, once everything told so far is stored."""
    with transaction() as session:
        drain(session, session.get_one(Run, run.id, with_for_update=True), folder)
    with transaction() as session:
        return {row.step: row for row in session.scalars(select(Checkpoint).where(Checkpoint.run_id == run.id))}


def save(tiny: Path, folder: Path, step: int) -> dict[str, Any]:
    """A checkpoint on the disk, and its event."""
    place = shutil.copytree(tiny, folder / "checkpoints" / str(step))
    return {"type": "checkpoint", "path": str(place), "step": step, "kind": "full", "metrics": {}}


def remove(folder: Path, step: int) -> dict[str, Any]:
    """The checkpoint deleted from the disk, and its event."""
    place = folder / "checkpoints" / str(step)
    shutil.rmtree(place)
    return {"type": "log", "level": "info", "message": f"deleted {step}", "removed_checkpoint": str(place)}


def test_a_checkpoint_that_its_run_deleted_is_listed_no_more(queue_run: QueueRun, tiny: Path, tmp_path: Path) -> None:
    """Its row goes with its folder, the log keeps the line; told anew, or of another folder, it changes nothing."""
    run = queue_run()
    tell(tmp_path, save(tiny, tmp_path, 2), save(tiny, tmp_path, 4))
    assert set(stored(run, tmp_path)) == {2, 4}

    gone = remove(tmp_path, 2)
    outside = {**gone, "removed_checkpoint": str(tiny)}
    still_there = {**gone, "removed_checkpoint": str(tmp_path / "checkpoints" / "4")}
    tell(tmp_path, gone, gone, outside, still_there)

    assert set(stored(run, tmp_path)) == {4}
    with transaction() as session:
        logs = session.scalars(select(RunEvent).where(RunEvent.run_id == run.id, RunEvent.kind == "log")).all()
        assert session.get(Checkpoint, run.checkpoint_id) is not None
    assert len(logs) == 4


def test_a_deleted_checkpoint_that_was_used_keeps_its_row(queue_run: QueueRun, tiny: Path, tmp_path: Path) -> None:
    """Lineage is not torn: where another checkpoint stands on it, the row stays and says that its weights are gone."""
    run = queue_run()
    tell(tmp_path, save(tiny, tmp_path, 2))
    parent = stored(run, tmp_path)[2]
    with transaction() as session:
        base = session.get_one(Checkpoint, run.checkpoint_id)
        base.parent_id = parent.id

    tell(tmp_path, remove(tmp_path, 2))

    assert set(stored(run, tmp_path)) == {2}
    with transaction() as session:
        assert session.get_one(Checkpoint, run.checkpoint_id).parent_id == parent.id


def test_long_lines_are_stored_a_few_at_a_time(queue_run: QueueRun, tmp_path: Path) -> None:
    """However long the lines are, one transaction takes a bounded part of the file, and says that there is more."""
    run = queue_run()
    lines = 8
    tell(tmp_path, *({"type": "log", "level": "info", "message": "x" * (3 << 20)} for _ in range(lines)))

    with transaction() as session:
        row = session.get_one(Run, run.id, with_for_update=True)
        assert drain(session, row, tmp_path) is True
        assert BYTES_AT_ONCE <= row.events_offset < BYTES_AT_ONCE + LONGEST_LINE
        assert drain(session, row, tmp_path) is False
        assert row.events_offset == (tmp_path / "events.jsonl").stat().st_size
    with transaction() as session:
        assert len(session.scalars(select(RunEvent).where(RunEvent.run_id == run.id)).all()) == lines
