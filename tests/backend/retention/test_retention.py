"""Retention rules: what they let go, what they never touch, and what is told of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from backend.accounts.models import Role
from backend.audit.models import AuditEvent
from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint, Source
from backend.db import transaction
from backend.exports.models import Dtype, Export, ExportKind
from backend.projects import service as projects
from backend.projects.models import Project
from backend.retention import choosing, service
from backend.retention.models import RetentionRules
from backend.runs import resuming
from backend.runs.models import Run, RunEvent
from backend.work import State
from tests import loop
from tests.backend.retention.conftest import AGO, NOTHING, URL, World, apply, gone, match, write_weights
from tests.conftest import Client
from workers.tasks import retention


def test_who_may(anonymous: Client, annotator: Client, researcher: Client, owner: Client) -> None:
    """Signed out 401, annotators 403; researchers read and try rules, owners set them."""
    for client, code in ((anonymous, 401), (annotator, 403)):
        assert client.get(URL).status_code == code
        assert client.put(URL, json=NOTHING).status_code == code
        assert client.post(f"{URL}/preview", json=NOTHING).status_code == code
    assert researcher.get(URL).status_code == 200
    assert researcher.post(f"{URL}/preview", json={"last_checkpoints": 1}).status_code == 200
    assert researcher.put(URL, json=NOTHING).status_code == 403
    assert owner.put(URL, json={"last_checkpoints": 1}).status_code == 200


def test_rules_are_of_one_project(owner: Client, make_client: Callable[..., Client], world: World) -> None:
    """Another project neither sees rules nor weights, and its rules touch none here."""
    ids = world.run()
    with transaction() as session:
        other = Project(name="Elsewhere")
        session.add(other)
    stranger = make_client(Role.owner, project=other)
    owner.put(URL, json={"last_checkpoints": 3})

    assert stranger.get(URL).json() == {**NOTHING, "set_by": None, "set_at": None, "due_at": None}
    assert stranger.post(f"{URL}/preview", json={"last_checkpoints": 1}).json()["count"] == 0
    assert stranger.put(f"/api/v1/checkpoints/{ids[0]}/pinned", json={"pinned": True}).status_code == 404
    stranger.put(URL, json={"last_checkpoints": 1})
    with transaction() as session:
        session.execute(update(RetentionRules).where(RetentionRules.project_id == other.id).values(due_at=AGO))
    retention.work()
    assert gone(ids) == []


@pytest.mark.parametrize(
    "body",
    [
        {"last_checkpoints": 0},
        {"last_checkpoints": -1},
        {"failed_days": 0},
        {"answers_days": 10**12},
        {"exports_days": 1.5},
        {"exports_days": "never"},
        {"days": 3},
        [],
    ],
)
def test_rules_that_are_none(owner: Client, body: Any) -> None:
    """A rule that would remove everything, or is no rule, is refused; nothing is set."""
    assert owner.put(URL, json=body).status_code == 422
    assert owner.post(f"{URL}/preview", json=body).status_code == 422
    assert owner.get(URL).json()["set_at"] is None


def test_nothing_goes_unasked(world: World) -> None:
    """Without rules, or with rules of which none is set, nothing is ever removed."""
    ids = [*world.run(), *world.run(State.failed)]
    retention.work()
    apply()
    assert gone(ids) == []


def test_the_last_and_the_best_stay(researcher: Client, owner: Client, world: World) -> None:
    """Of a run that succeeded its last checkpoints stay and its best; the preview says so before, the audit log and
    the pages afterwards, and who chooses gone weights is told which rule took them."""
    ids = world.run()
    told = owner.post(f"{URL}/preview", json={"last_checkpoints": 2}).json()
    assert (told["count"], told["bytes"], told["goes"][0]["names"]) == (1, 100, ["Step 1"])

    apply(last_checkpoints=1)
    assert gone(ids) == [1, 3]
    assert owner.post(f"{URL}/preview", json={"last_checkpoints": 1}).json()["count"] == 0
    seen = researcher.get(f"/api/v1/checkpoints/{ids[0]}").json()
    assert (seen["available"], seen["removed_by"]) == (False, "keep the last 1 and the best of each finished run")
    assert researcher.get(f"/api/v1/checkpoints/{ids[0]}/lineage").status_code == 200
    refused = researcher.post("/api/v1/exports", json={"checkpoint_id": str(ids[0]), "kind": "merged", "dtype": "bf16"})
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/WeightsGone")
    assert "retention rule" in refused.json()["detail"]
    with transaction() as session:
        events = session.scalars(select(AuditEvent).where(AuditEvent.noun == "weights")).all()
    assert {(event.action, event.noun_id, event.user_id) for event in events} == {
        ("delete", ids[0], None),
        ("delete", ids[2], None),
    }
    assert events[0].detail["rule"] == seen["removed_by"]


def test_the_best_by_loss_is_the_lowest(world: World) -> None:
    """What is best goes by the metric of the run, as in training: of a loss the lowest, of equal ones the later."""
    world.run(accuracies=(0.9, 0.2, 0.2, 0.9))
    with transaction() as session:
        run = session.scalars(select(Run)).one()
        assert choosing.best_step(session, run, {1, 2, 3, 4}) == 4
        assert choosing.best_step(session, run, {1, 2, 3}) == 1
        run.spec = run.spec | {"keep": {"last": 2, "best": "eval/loss"}}
        assert choosing.best_step(session, run, {1, 2, 3, 4}) is None
        for event in session.scalars(select(RunEvent).where(RunEvent.run_id == run.id)):
            event.payload = {"metrics": {"eval/loss": event.payload["metrics"]["eval/rewards/accuracies"]}}
        session.flush()
        assert choosing.best_step(session, run, {1, 2, 3, 4}) == 3
        run.spec = run.spec | {"keep": {"last": 2, "best": None}}
        assert choosing.best_step(session, run, {1, 2, 3, 4}) is None


def test_failed_runs_after_their_days(world: World) -> None:
    """Weights of runs that failed or were cancelled go after their days; those of runs that may still be taken up
    again, go on or succeeded stay."""
    runs = {
        state: world.run(state) for state in (State.failed, State.cancelled, State.lost, State.succeeded, State.running)
    }

    apply(failed_days=41)
    assert [gone(ids) for ids in runs.values()] == [[]] * 5
    apply(failed_days=39)
    assert [gone(ids) for ids in runs.values()] == [[1, 2, 3, 4], [1, 2, 3, 4], [], [], []]


def test_what_failed_runs_go_on_from_after_their_days(world: World) -> None:
    """It is three times the weights: it goes with them, and the run says that it cannot go on; a run that goes on by
    then, or may still be taken up, keeps it."""
    for state in (State.failed, State.cancelled, State.lost, State.queued):
        world.run(state, (0.5,))
    with transaction() as session:
        runs = list(session.scalars(select(Run).order_by(Run.id)))
        for run in runs:
            run.state_step = 7
            write_weights(world.settings.data / resuming.key(run))
        places = [world.settings.data / resuming.key(run) for run in runs]

    apply(failed_days=41)
    assert all(place.exists() for place in places)
    apply(failed_days=39)

    assert [place.exists() for place in places] == [False, False, True, True]
    with transaction() as session:
        assert [run.state_step for run in session.scalars(select(Run).order_by(Run.id))] == [None, None, 7, 7]
        told = select(AuditEvent.noun_id).where(AuditEvent.action == "delete", AuditEvent.noun == "state")
        assert {str(one) for one in session.scalars(told)} == {str(run.id) for run in runs[:2]}


def test_what_something_refers_to_stays(researcher: Client, world: World, tmp_path: Path) -> None:
    """Pinned, exported, judged, adapted, trained from, or another project's too: no rule removes such weights."""
    pinned, exported, judged, adapted, started, shared, free = world.run(State.failed, (0.1,) * 7)
    assert researcher.put(f"/api/v1/checkpoints/{pinned}/pinned", json={"pinned": True}).json()["pinned"]
    with transaction() as session:
        project = projects.default(session)
        own = {"project_id": project.id}
        session.add(Export(**own, checkpoint_id=exported, name="A", kind=ExportKind.merged, dtype=Dtype.bf16))
        session.add(match(project, judged, judged))
        row = session.get_one(Checkpoint, adapted)
        child = {"name": "B", "source": Source.folder, "architecture": "Llama", "parameters": 1}
        session.add(Checkpoint(**own, **child, path="/nowhere", parent_id=row.id))
        other = Project(name="Elsewhere")
        session.add(other)
        session.flush()
        key = session.get_one(Checkpoint, shared).path
        session.add(Checkpoint(project_id=other.id, **child, path=str(world.settings.data.absolute() / key)))
    run = loop.add_run(world.user, world.base, world.dataset)
    with transaction() as session:
        session.execute(update(Run).where(Run.id == run.id).values(checkpoint_id=started))

    apply(failed_days=1)
    assert gone([pinned, exported, judged, adapted, started, shared, free]) == [7]
    researcher.put(f"/api/v1/checkpoints/{pinned}/pinned", json={"pinned": False})
    apply(failed_days=1)
    assert gone([pinned]) == [1]
    assert researcher.put(f"/api/v1/checkpoints/{pinned}/pinned", json={"pinned": True}).status_code == 422


def test_what_is_just_being_chosen_stays(world: World) -> None:
    """Between somebody's choice of weights and the end of their transaction no rule removes them."""
    (chosen,) = world.run(State.failed, (0.5,))
    with transaction() as session:
        checkpoints.require_weights(session.get_one(Checkpoint, chosen), "checkpoint_id")
        with transaction() as rules:
            assert not service.remove_weights(rules, chosen, "a rule")
    assert gone([chosen]) == []
