"""Retention of answers and of exports, and how removing goes: day by day, past a storage that is away."""

import shutil
import uuid
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend import storage
from backend.audit.models import AuditEvent
from backend.checkpoints.models import Checkpoint
from backend.datasets.models import Item
from backend.db import transaction
from backend.evaluations.models import Match, MatchItem, Verdict
from backend.evaluations.models import Source as Said
from backend.exports.models import Dtype, Export, ExportKind, Push
from backend.projects import service as projects
from backend.retention import service
from backend.retention.models import RetentionRules
from backend.retention.schemas import RulesIn
from backend.settings import Settings
from backend.storage import StorageTrouble
from backend.work import State, now
from tests.backend.retention.conftest import AGO, ANSWER, NOTHING, URL, World, apply, evaluation, gone, match
from tests.conftest import Client
from workers.tasks import retention


def test_answers_without_labels_and_reports_go(researcher: Client, world: World) -> None:
    """Answers of the arena and of evaluations that did not succeed go after their days, unless they became an item;
    those behind reports stay. Votes are counted as before."""
    a, b = world.run(accuracies=(0.1, 0.2))
    with transaction() as session:
        project = projects.default(session)
        done, failed = (evaluation(session, project, state) for state in (State.succeeded, State.failed))
        arena, young, labelled = match(project, a, b), match(project, a, b, finished_at=now()), match(project, a, b)
        reported, unfinished = (
            match(project, a, b, evaluation_id=done.id),
            match(project, a, b, evaluation_id=failed.id),
        )
        waiting = match(project, a, b, state=State.running, finished_at=None)
        every = [arena, unfinished, young, labelled, reported, waiting]
        session.add_all(every)
        session.flush()
        item = an_item(session, world)
        session.add(MatchItem(match_id=labelled.id, dataset_id=world.dataset.id, item_id=item))
        said = {"source": Said.person, "annotator_id": researcher.user.id, "swapped": False, "probability": 1.0}
        session.add(Verdict(project_id=project.id, match_id=arena.id, value={"strength": 2}, **said))
        ids = [one.id for one in every]
    tally = researcher.get("/api/v1/arena/tally").json()
    told = researcher.post(f"{URL}/preview", json={"answers_days": 39}).json()
    assert (told["count"], told["bytes"]) == (2, 4 * len(ANSWER["content"]))  # type: ignore[arg-type]

    apply(answers_days=39)
    with transaction() as session:
        texts = ["content" in (session.get_one(Match, one).response_a or {}) for one in ids]
        events = session.scalars(select(AuditEvent).where(AuditEvent.noun == "answers")).all()
    assert texts == [False, False, True, True, True, True]
    assert [event.detail["matches"] for event in events] == [2]
    assert researcher.get("/api/v1/arena/tally").json() == tally
    assert researcher.get(f"/api/v1/evaluations/{failed.id}/matches").json()["items"][0]["a"]["error"]
    refused = researcher.post(f"/api/v1/evaluations/{failed.id}/resume")  # its answers would count as failures
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/AnswersGone")
    apply(answers_days=39)
    assert researcher.post(f"{URL}/preview", json={"answers_days": 39}).json()["count"] == 0


def an_item(session: Session, world: World) -> uuid.UUID:
    return session.scalars(select(Item.id).where(Item.dataset_id == world.dataset.id).limit(1)).one()


def test_exports_after_their_days(world: World, settings: Settings) -> None:
    """Exports go after their days, with their files; one that is being uploaded or made stays."""
    with transaction() as session:
        project = projects.default(session)
        own: dict[str, Any] = {"project_id": project.id, "checkpoint_id": world.base.id}
        kind: dict[str, Any] = {"name": "A", "kind": ExportKind.merged, "dtype": Dtype.bf16, "bytes": 7}
        old = Export(**own, **kind, state=State.succeeded, finished_at=AGO)
        young = Export(**own, **kind, state=State.succeeded, finished_at=now())
        sent = Export(**own, **kind, state=State.succeeded, finished_at=AGO)
        made = Export(**own, **kind, state=State.running)
        session.add_all([old, young, sent, made])
        session.flush()
        session.add(Push(**own, export_id=sent.id, repo_id="a/b", private=True, secret="hub"))
        session.flush()
        (settings.data / "exports" / str(old.id)).mkdir(parents=True)
        told = service.preview(session, project.id, RulesIn(exports_days=39))
    assert (told.count, told.bytes) == (1, 7)

    apply(exports_days=39)
    with transaction() as session:
        assert set(session.scalars(select(Export.id))) == {young.id, sent.id, made.id}
    assert not (settings.data / "exports" / str(old.id)).exists()


def test_a_day_later(owner: Client, world: World) -> None:
    """Rules are applied a day after they were set, then daily; setting them again begins anew."""
    ids = world.run(State.failed)
    said = owner.put(URL, json={"failed_days": 1}).json()
    assert (said["failed_days"], said["set_by"]) == (1, owner.user.name)
    retention.work()
    assert gone(ids) == []
    with transaction() as session:
        session.execute(update(RetentionRules).values(due_at=AGO))
    retention.work()
    assert gone(ids) == [1, 2, 3, 4]
    with transaction() as session:
        assert service.take(session) is None
        assert session.scalars(select(RetentionRules)).one().due_at > now()
    assert owner.put(URL, json=NOTHING).json()["due_at"] is None


def test_a_storage_that_is_away_holds_up_nothing_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be removed now is neither said to be gone nor in the way of the rest; a day later it goes."""
    ids = world.run(State.failed, (0.1, 0.2))
    kept, delete = (
        {f"runs/{path.parts[-3]}/checkpoints/1" for path in storage.local("runs").glob("*/checkpoints/1")},
        storage.delete,
    )

    def deleting(key: str) -> None:
        if key in kept:
            raise StorageTrouble("It does not answer.")
        delete(key)

    monkeypatch.setattr(storage, "delete", deleting)
    apply(failed_days=1)
    assert gone(ids) == [2]
    monkeypatch.setattr(storage, "delete", delete)
    apply(failed_days=1)
    assert gone(ids) == [1, 2]


def test_weights_that_went_by_themselves(world: World, settings: Settings) -> None:
    """Weights that somebody removed by hand are written down as gone, without an error."""
    (one,) = world.run(State.failed, (0.5,))
    with transaction() as session:
        shutil.rmtree(settings.data / session.get_one(Checkpoint, one).path)
    apply(failed_days=1)
    assert gone([one]) == [1]
