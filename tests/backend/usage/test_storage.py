"""GET /api/v1/storage: what projects keep, from rows alone; sizes are measured by the sweep."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend import storage
from backend.accounts.models import Role
from backend.checkpoints.models import Checkpoint, Source
from backend.datasets.models import Dataset, Kind, Snapshot, Upload
from backend.db import transaction
from backend.exports.models import Dtype, Export, ExportKind
from backend.projects import service as projects
from backend.projects.models import Project
from backend.settings import Settings
from backend.storage import FolderStore, StorageTrouble
from backend.usage import storage as kept
from backend.work import State, now
from tests.conftest import Client

URL = "/api/v1/storage"
ALL = f"{URL}/projects"


@pytest.fixture
def filled(researcher: Client, settings: Settings) -> Project:
    """One object of each kind, of 10 bytes each, and others that are none of ours."""
    with transaction() as session:
        project = projects.default(session)
        own: dict[str, Any] = {"project_id": project.id}
        plain: dict[str, Any] = {"architecture": "Llama", "parameters": 1, "name": "A"}
        for source, path, gone in (
            (Source.run, "runs/a/checkpoints/1", None),
            (Source.run, "runs/a/checkpoints/2", now()),
            (Source.folder, "/models/a", None),
            (Source.toy, "package:alignment/toyworld/base", None),
            (Source.endpoint, "http://10.0.0.1/v1#m", None),
        ):
            session.add(
                Checkpoint(**own, **plain, source=source, path=path, removed_at=gone, bytes=99 if gone else None)
            )
        sets = [Dataset(**own, name=name, kind=Kind.paired) for name in "ab"]
        session.add_all(sets)
        session.flush()
        checkpoint = session.query(Checkpoint).first()
        assert checkpoint is not None
        frozen: dict[str, Any] = {
            "hash": "0" * 64,
            "kind": Kind.paired,
            "policy": {},
            "counts": {},
            "path": "snapshots/a",
        }
        session.add_all(Snapshot(**own, **frozen, dataset_id=one.id) for one in sets)
        written: dict[str, Any] = {"name": "A", "kind": ExportKind.merged, "dtype": Dtype.bf16, "bytes": 10}
        session.add_all(
            Export(**own, **written, checkpoint_id=checkpoint.id, state=state)
            for state in (State.succeeded, State.failed)
        )
        file: dict[str, Any] = {"filename": "a", "size": 10, "sha256": "0" * 64}
        session.add_all(
            [Upload(**own, **file, path="uploads/a"), Upload(**own, **file, path="uploads/b", removed_at=now())]
        )
        session.add(Upload(**own, **file, path="/data", origin={"kind": "server", "path": "/data"}))
    for key in ("runs/a/checkpoints/1", "snapshots/a"):
        (settings.data / key).mkdir(parents=True, exist_ok=True)
        (settings.data / key / "file").write_bytes(b"x" * 10)
    return project


def sums(client: Client) -> dict[str, tuple[int, int, int]]:
    """Number, bytes and how many are not measured, by kind."""
    kinds = client.get(URL).json()["kinds"]
    return {one["kind"]: (one["count"], one["bytes"], one["unmeasured"]) for one in kinds}


def test_who_may(anonymous: Client, annotator: Client, researcher: Client, admin: Client) -> None:
    """Signed out 401, annotators 403; all projects for admins of the instance alone."""
    assert anonymous.get(URL).status_code == 401
    assert annotator.get(URL).status_code == 403
    assert researcher.get(URL).status_code == 200
    assert anonymous.get(ALL).status_code == 401
    assert researcher.get(ALL).status_code == 403
    assert admin.get(ALL).status_code == 200


def test_what_is_kept(researcher: Client, filled: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes by kind, of what is in the storage: without folders of others and what is gone; equal objects count once.
    Each object is measured once, and no request asks the storage."""
    assert sums(researcher)["checkpoints"] == (1, 0, 1)
    with transaction() as session:
        assert kept.measure(session) == 3
    monkeypatch.setattr(storage, "get_storage", lambda: pytest.fail("the storage is asked"))
    with transaction() as session:
        assert kept.measure(session) == 0
    assert sums(researcher) == dict.fromkeys(("checkpoints", "snapshots", "exports", "uploads"), (1, 10, 0))


def test_of_the_instance(admin: Client, make_client: Callable[..., Client], filled: Project) -> None:
    """Admins see every project, the most first, and the machine's disk; a project sees itself alone."""
    with transaction() as session:
        other = Project(name="Elsewhere")
        session.add(other)
    found = admin.get(ALL).json()

    assert [one["name"] for one in found["items"]] == [filled.name, "Elsewhere"]
    assert found["disk_bytes"] >= found["free_bytes"] > 0
    assert found["cache_bytes"] == 0
    elsewhere = make_client(Role.researcher, project=other)
    assert set(sums(elsewhere).values()) == {(0, 0, 0)}


def test_what_cannot_be_measured(filled: Project, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is gone from the storage has no bytes and is asked for no more; one that is away is asked again later."""

    def away(self: FolderStore, key: str) -> int:
        raise StorageTrouble("It does not answer.")

    with monkeypatch.context() as patch, transaction() as session:
        patch.setattr(FolderStore, "size", away)
        assert kept.measure(session) == 0
    (settings.data / "snapshots" / "a" / "file").unlink()
    Path(settings.data / "snapshots" / "a").rmdir()
    with transaction() as session:
        assert kept.measure(session) == 3
        assert kept.measure(session) == 0
