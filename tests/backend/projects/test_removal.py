"""Deleting a project: its rows and files go when its work has stopped, and nobody else's."""

import uuid
from pathlib import Path

import pytest
from sqlalchemy import func, select

from alignment.formats.preference import Policy
from backend.accounts.models import Role
from backend.checkpoints.models import Checkpoint
from backend.datasets import service as datasets
from backend.datasets import snapshots
from backend.datasets.models import Item, Snapshot, SnapshotLabel, Upload
from backend.db import Base, get_engine, transaction
from backend.labels.models import Label
from backend.projects import removal
from backend.projects import service as projects
from backend.projects.models import Project
from backend.runs.models import Run, RunEvent
from backend.settings import Settings
from backend.work import State
from tests import loop
from tests.backend.checkpoints.conftest import config, weights
from tests.people import add_person


def fill(project: Project, settings: Settings, folder: Path) -> uuid.UUID:
    """An upload, a labelled dataset, its snapshot, a registered checkpoint and a run with a folder, which is active."""
    with transaction() as session:
        user = add_person(session, Role.owner, project=project)
        dataset = datasets.create_from_items(session, project, "Pairs", loop.pairs(40))
        snapshot = snapshots.freeze(session, dataset, Policy(), settings.snapshots)
        own = {"project_id": project.id}
        checkpoint = Checkpoint(
            **own,
            name="Base",
            source="folder",
            path=str(folder),
            adapter=False,
            architecture="Llama",
            parameters=1,
            max_tokens=9,
        )
        upload = Upload(**own, filename="a.jsonl", size=2, sha256="0" * 64, path=uuid.uuid4().hex, created_by=user.id)
        session.add_all([checkpoint, upload])
        session.flush()
        run = Run(
            **own, name="Run", kind="preference", spec={}, objective="dpo", checkpoint_id=checkpoint.id,
            snapshot_id=snapshot.id, state=State.running, created_by=user.id,
        )  # fmt: skip
        session.add(run)
        session.flush()
        place = settings.runs / str(run.id)
        place.mkdir(parents=True)
        (place / "events.jsonl").write_text("{}\n")
        settings.uploads.mkdir(parents=True, exist_ok=True)
        (settings.uploads / upload.path).write_text("{}")
        return run.id


@pytest.fixture
def registered(tmp_path: Path) -> Path:
    """A checkpoint's folder that belongs to somebody."""
    (tmp_path / "config.json").write_text(config())
    weights(tmp_path / "model.safetensors")
    return tmp_path


def rows_of(project: Project) -> dict[str, int]:
    """How many rows each table has of the project, where it has any."""
    with get_engine().connect() as connection:
        tables = [
            table for table in Base.metadata.sorted_tables if "project_id" in table.c and table.name != "audit_events"
        ]
        found = {
            table.name: connection.scalar(select(func.count()).where(table.c.project_id == project.id))
            for table in tables
        }
    return {name: count for name, count in found.items() if count}


def test_rows_and_files_go_when_the_work_has_stopped(
    tour: Project, beta: Project, settings: Settings, registered: Path
) -> None:
    """Work is asked to stop first; equal snapshots of another project and registered folders stay."""
    kept, gone = fill(tour, settings, registered), fill(beta, settings, registered)
    before = rows_of(tour)
    with transaction() as session:
        projects.delete(session, session.get_one(Project, beta.id), "Beta")
        assert removal.sweep(session) == 0
        run = session.get_one(Run, gone)
        assert (run.state, run.stop_requested) == (State.stopping, True)
        run.state = State.cancelled
    assert rows_of(beta)
    with transaction() as session:
        assert removal.sweep(session) == 1

    assert rows_of(beta) == {}
    assert rows_of(tour) == before
    with transaction() as session:
        assert session.get(Project, beta.id) is None
        snapshot = session.scalars(select(Snapshot)).one()
        path = session.scalars(select(Upload.path)).one()
    assert sorted(one.name for one in settings.runs.iterdir() if one.name in {str(kept), str(gone)}) == [str(kept)]
    assert (settings.snapshots / snapshot.hash / "examples.parquet").is_file()
    assert (settings.uploads / path).is_file()
    assert (registered / "model.safetensors").is_file()
    with transaction() as session:
        assert removal.sweep(session) == 0


def test_orphans_are_nowhere(tour: Project, beta: Project, settings: Settings, registered: Path) -> None:
    """Tables without a project of their own lose what hung on the project's rows."""
    run_id = fill(beta, settings, registered)
    with transaction() as session:
        session.add(RunEvent(run_id=run_id, kind="log", step=1, payload={}))
        session.get_one(Run, run_id).state = State.succeeded
        projects.delete(session, session.get_one(Project, beta.id), "Beta")
        removal.sweep(session)
        for table in (RunEvent, SnapshotLabel, Item, Label):
            assert session.scalar(select(func.count()).select_from(table)) == 0, table
