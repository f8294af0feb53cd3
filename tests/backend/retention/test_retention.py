"""Retention rules: what they let go, what they never touch, and what is told of it."""

import shutil
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend import storage
from backend.accounts.models import Role, User
from backend.audit.models import AuditEvent
from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint, Source
from backend.datasets.models import Item
from backend.db import transaction
from backend.evaluations.models import Evaluation, Match, MatchItem, Verdict
from backend.evaluations.models import Source as Said
from backend.exports.models import Dtype, Export, ExportKind, Push
from backend.projects import service as projects
from backend.projects.models import Project
from backend.retention import choosing, service
from backend.retention.models import RetentionRules
from backend.retention.schemas import RulesIn
from backend.runs import resuming
from backend.runs.models import Run, RunEvent
from backend.settings import Settings
from backend.storage import StorageTrouble
from backend.work import State, now
from tests import loop
from tests.backend.checkpoints.conftest import config, weights
from tests.conftest import Client
from workers.tasks import retention

URL = "/api/v1/retention"
NOTHING = {"last_checkpoints": None, "failed_days": None, "answers_days": None, "exports_days": None}
ANSWER = {"content": "A quiet place.", "tokens": 4, "ended": True}
AGO = now() - timedelta(days=40)


def write_weights(folder: Path) -> Path:
    """A checkpoint of headers and a few zeros."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(config())
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    weights(folder / "model.safetensors")
    return folder


@pytest.fixture
def base(researcher: Client, tmp_path: Path) -> Checkpoint:
    return loop.add_checkpoint(write_weights(tmp_path / "base"))


class World:
    """Ended runs with checkpoints at steps, in the default project."""

    def __init__(self, user: User, base: Checkpoint, settings: Settings) -> None:
        self.user, self.base, self.settings = user, base, settings
        self.dataset = loop.add_dataset()

    def run(
        self, state: State = State.succeeded, accuracies: tuple[float, ...] = (0.5, 0.9, 0.6, 0.7)
    ) -> list[uuid.UUID]:
        """A run that ended 40 days ago; ids of its checkpoints at steps 1, 2, 3 …, each with an accuracy."""
        run = loop.add_run(self.user, self.base, self.dataset)
        made = []
        with transaction() as session:
            values = {"state": state, "finished_at": AGO}
            session.execute(update(Run).where(Run.id == run.id).values(values))
            for step, accuracy in enumerate(accuracies, start=1):
                key = f"runs/{run.id}/checkpoints/{step}"
                write_weights(self.settings.data / key)
                row = Checkpoint(
                    project_id=self.base.project_id,
                    name=f"Step {step}",
                    source=Source.run,
                    path=key,
                    run_id=run.id,
                    parent_id=self.base.id,
                    step=step,
                    architecture="Llama",
                    parameters=10,
                    bytes=100,
                )
                told = {"path": key, "metrics": {"eval/rewards/accuracies": accuracy}}
                session.add_all([row, RunEvent(run_id=run.id, kind="checkpoint", step=step, payload=told)])
                session.flush()
                made.append(row.id)
        return made


@pytest.fixture
def world(researcher: Client, base: Checkpoint, settings: Settings) -> World:
    return World(researcher.user, base, settings)


@pytest.fixture
def owner(make_client: Callable[..., Client]) -> Client:
    return make_client(Role.owner)


def gone(ids: list[uuid.UUID]) -> list[int]:
    """The numbers, from 1, of checkpoints whose weights are gone, in the rows just as in the storage."""
    with transaction() as session:
        rows = [session.get_one(Checkpoint, one) for one in ids]
    assert [row.removed_at is None for row in rows] == [storage.exists(row.path) for row in rows]
    return [number for number, row in enumerate(rows, start=1) if row.removed_at is not None]


def apply(**rules: Any) -> None:
    """Rules of the default project that are due, applied as the worker does."""
    with transaction() as session:
        due = session.scalars(select(RetentionRules)).first() or RetentionRules(project_id=projects.default(session).id)
        for name, value in (NOTHING | rules).items():
            setattr(due, name, value)
        due.set_at, due.due_at = now(), now() - timedelta(seconds=1)
        session.add(due)
    retention.work()


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


def match(project: Project, a: uuid.UUID, b: uuid.UUID, **values: Any) -> Match:
    """An answered match of 40 days ago."""
    known = {"prompt": [{"role": "user", "content": "Hello"}], "prompt_hash": "0" * 64, "sampling": {}, "seed": 1}
    answered = {"response_a": ANSWER, "response_b": ANSWER, "state": State.succeeded, "finished_at": AGO}
    return Match(project_id=project.id, checkpoint_a=a, checkpoint_b=b, **(known | answered | values))


def evaluation(session: Session, project: Project, state: State) -> Evaluation:
    """One that ended 40 days ago."""
    plain: dict[str, Any] = {"contestants": [], "prompts": {}, "judge": {}, "sampling": {}}
    found = Evaluation(project_id=project.id, name="E", seed=1, state=state, finished_at=AGO, **plain)
    session.add(found)
    session.flush()
    return found


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
