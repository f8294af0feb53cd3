"""Usage: device-seconds to the second, of the window asked for, and of nobody else's project."""

import csv
import io
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from backend.accounts.models import User
from backend.checkpoints.models import Checkpoint, Source
from backend.datasets.models import Dataset, Snapshot
from backend.db import transaction
from backend.projects.models import Project
from backend.runs.models import Run
from backend.work import State
from tests.conftest import Client

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
DAY = {"from": "2026-01-10T00:00:00Z", "to": "2026-01-11T00:00:00Z"}


@pytest.fixture
def add(clean: None) -> Callable[..., None]:
    """Adds a run of a person that began at noon and lasted some hours, in a project."""

    def run(person: User | None, hours: float | None, project: str = "Tour", **columns: Any) -> None:
        with transaction() as session:
            found = session.scalars(select(Project).where(Project.name == project)).first() or Project(name=project)
            session.add(found)
            session.flush()
            own = {"project_id": found.id}
            base = Checkpoint(**own, name="B", source=Source.folder, path=f"/x/{uuid.uuid4()}", adapter=False)
            base.architecture, base.parameters, base.max_tokens, base.toy = "Llama", 1, 1, False
            dataset = Dataset(**own, name=f"D {uuid.uuid4()}", kind="paired", description="", toy=False)
            session.add_all([base, dataset])
            session.flush()
            frozen = Snapshot(
                **own,
                dataset_id=dataset.id,
                hash=uuid.uuid4().hex,
                kind="paired",
                policy={},
                counts={},
                label_watermark=None,
                path="x",
            )
            session.add(frozen)
            session.flush()
            values: dict[str, Any] = {
                "name": "R",
                "kind": "preference",
                "spec": {},
                "objective": "dpo",
                "started_at": NOON,
                "state": State.running if hours is None else State.succeeded,
                "finished_at": None if hours is None else NOON + timedelta(hours=hours),
                "devices": 1,
                **columns,
            }
            session.add(
                Run(
                    **own,
                    checkpoint_id=base.id,
                    snapshot_id=frozen.id,
                    created_by=person.id if person else None,
                    **values,
                )
            )

    return run


def usage(client: Client, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/api/v1/usage", params={**DAY, **query})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def test_who_may_ask(anonymous: Client, annotator: Client, researcher: Client) -> None:
    """Researchers see their project; all projects together are an admin's."""
    assert anonymous.get("/api/v1/usage").status_code == 401
    assert annotator.get("/api/v1/usage").status_code == 403
    assert researcher.get("/api/v1/usage").status_code == 200
    assert researcher.get("/api/v1/usage", params={"scope": "instance"}).status_code == 403


def test_exact(researcher: Client, admin: Client, add: Callable[..., None]) -> None:
    """Devices times seconds, exactly; accelerators, processors and the unknown apart."""
    add(researcher.user, 1.5, device="NVIDIA H200", devices=4)
    add(researcher.user, 2, device="cpu")
    add(researcher.user, 0.25)
    add(admin.user, 1, device="NVIDIA H200", objective="simpo")
    add(None, 1, device="cpu")
    mine, theirs, nobodys = usage(researcher)
    assert (mine["name"], mine["runs"], mine["running"]) == (researcher.user.name, 3, 0)
    assert (mine["accelerator_seconds"], mine["cpu_seconds"], mine["unknown_seconds"]) == (21600, 7200, 900)
    assert mine["devices"] == {"NVIDIA H200": 21600, "cpu": 7200, "unknown": 900}
    assert (theirs["name"], theirs["accelerator_seconds"]) == (admin.user.name, 3600)
    assert (nobodys["name"], nobodys["id"], nobodys["cpu_seconds"]) == ("somebody", None, 3600)
    assert [(one["name"], one["accelerator_seconds"]) for one in usage(researcher, by="objective")] == [
        ("dpo", 21600),
        ("simpo", 3600),
    ]


def test_window(researcher: Client, add: Callable[..., None]) -> None:
    """Only what lies in the window counts; what goes on counts until its end, or until now."""
    add(researcher.user, 2, device="cpu")
    add(researcher.user, None, device="cpu")
    add(researcher.user, 2, device="cpu", state=State.queued, started_at=None, finished_at=None)
    (one,) = usage(researcher, **{"from": "2026-01-10T13:00:00Z", "to": "2026-01-10T13:30:00Z"})
    assert (one["runs"], one["running"], one["cpu_seconds"]) == (2, 1, 3600)
    assert usage(researcher, **{"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}) == []
    until_now = usage(researcher, to="2999-01-01T00:00:00Z")[0]["cpu_seconds"]
    assert until_now == pytest.approx((datetime.now(UTC) - NOON).total_seconds() + 7200, abs=60)


def test_other_projects(researcher: Client, admin: Client, add: Callable[..., None]) -> None:
    """Another project's runs are in nobody's figures but the instance's."""
    add(researcher.user, 1, device="cpu")
    add(researcher.user, 5, project="Other", device="cpu")
    assert [one["cpu_seconds"] for one in usage(researcher)] == [3600]
    assert [(one["name"], one["cpu_seconds"]) for one in usage(admin, scope="instance", by="project")] == [
        ("Other", 18000),
        ("Tour", 3600),
    ]


def test_csv(researcher: Client, add: Callable[..., None]) -> None:
    """The same as a file, in hours; no cell begins a formula."""
    add(researcher.user, 1.5, device="cpu", objective="=1+1")
    answer = researcher.get("/api/v1/usage", params={**DAY, "by": "objective", "format": "csv"})
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["name"], row["cpu_hours"]) == ("'=1+1", "1.500000")
    assert "attachment" in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    "query",
    [
        {"by": "host"},
        {"from": "x"},
        {"from": "2026-01-10T00:00:00"},
        {"from": "2026-01-12T00:00:00Z"},
        {"format": "xls"},
    ],
)
def test_bad_queries(researcher: Client, query: dict[str, Any]) -> None:
    """What makes no sense is refused."""
    assert researcher.get("/api/v1/usage", params={**DAY, **query}).status_code == 422
