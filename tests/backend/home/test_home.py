"""Home tells each role what it may see, and its numbers are those of the rows."""

import uuid
from collections.abc import Callable

from sqlalchemy import case, update
from sqlalchemy.orm import Session

from backend.accounts.models import Role, User
from backend.checkpoints.models import Checkpoint, Source
from backend.datasets.models import Dataset, Item, Kind, Snapshot
from backend.db import transaction
from backend.evaluations.models import Evaluation, Match, Verdict
from backend.evaluations.models import Source as VerdictSource
from backend.labels import tallies
from backend.labels.models import Label, LabelSource
from backend.projects import service as projects
from backend.runs.models import Run
from backend.work import State
from tests.conftest import Client


def test_signed_out(anonymous: Client) -> None:
    """Home's numbers need a session."""
    assert anonymous.get("/api/v1/home").status_code == 401


def test_an_empty_system(researcher: Client) -> None:
    """With nothing there every count is zero and nothing is guessed."""
    home = researcher.get("/api/v1/home").json()

    assert home["datasets"] == home["votes"] == home["checkpoints"] == 0
    assert home["labelling"] == {
        **dict.fromkeys(("pairs", "labelled", "left", "by_you", "today"), 0),
        "next_dataset_id": None,
        "next_dataset": None,
    }
    assert home["runs"] == {"waiting": 0, "succeeded": 0, "failed": 0, "active": [], "newest": None}
    assert home["evaluations"] == {"active": 0, "succeeded": 0, "newest": []}
    assert home["resume"] == []
    assert home["machine"]["cores"] >= 1


def test_an_annotator_sees_labelling_only(annotator: Client) -> None:
    """Runs, checkpoints, evaluations and the machine are not an annotator's business."""
    fill(annotator.user)

    home = annotator.get("/api/v1/home").json()

    assert {name for name, value in home.items() if value is None} == {
        "checkpoints",
        "trained_checkpoints",
        "runs",
        "evaluations",
        "machine",
    }
    assert [line["kind"] for line in home["resume"]] == ["label"]


def test_imported_labels_ask_for_nobody(researcher: Client) -> None:
    """Pairs that came with labels wait for no first one, and a dataset of nothing else is not offered to go on with."""
    fill(researcher.user)
    with transaction() as session:
        items = session.query(Item).order_by(Item.position).all()
        own = {"project_id": items[0].project_id, "dataset_id": items[0].dataset_id}
        said = {"annotator_id": None, "source": LabelSource.imported, "value": {"strength": 2}}
        session.add_all(Label(**own, item_id=one.id, **said) for one in items[2:8])
        tallies.recount(session, [items[0].dataset_id])
    assert researcher.get("/api/v1/home").json()["labelling"]["left"] == 2
    with transaction() as session:
        session.add_all(Label(**own, item_id=one.id, **said) for one in items[8:])
        tallies.recount(session, [items[0].dataset_id])
    labelling = researcher.get("/api/v1/home").json()["labelling"]
    assert (labelling["left"], labelling["next_dataset"]) == (0, "Questions")  # begun by this person, and not finished
    with transaction() as session:
        session.query(Label).filter(Label.annotator_id.is_not(None)).delete()
        tallies.recount(session, [items[0].dataset_id])
    labelling = researcher.get("/api/v1/home").json()["labelling"]
    assert (labelling["left"], labelling["next_dataset"]) == (2, "Questions")


def test_the_numbers_are_those_of_the_rows(researcher: Client) -> None:
    """Unlabelled pairs, runs by state, and the newest evaluation's rate with its interval and n."""
    fill(researcher.user)

    home = researcher.get("/api/v1/home").json()

    assert home["labelling"]["pairs"] == 10
    assert home["labelling"]["labelled"] == home["labelling"]["by_you"] == home["labelling"]["today"] == 3
    assert home["labelling"]["left"] == 7
    assert home["labelling"]["next_dataset"] == "Questions"
    assert [run["name"] for run in home["runs"]["active"]] == ["Second"]
    assert (home["runs"]["waiting"], home["runs"]["succeeded"], home["runs"]["failed"]) == (1, 1, 1)
    (rate,) = home["evaluations"]["newest"]
    assert (rate["contestant"], rate["baseline"], rate["judge"]) == ("Trained", "Base", "toy truth")
    assert (rate["rate"], rate["n"]) == (0.75, 20)
    assert rate["low"] < 0.75 < rate["high"]
    assert home["trained_checkpoints"] == 1
    assert {line["kind"] for line in home["resume"]} == {"label", "run", "evaluation"}
    assert [line["detail"] for line in home["resume"] if line["kind"] == "run"] == ["DPO, queued", "DPO, running"]


def test_a_judge_that_goes_by_the_place(researcher: Client) -> None:
    """One that names the answer shown first every time has no rate here: 50 % would look like equals."""
    fill(researcher.user)
    with transaction() as session:
        session.execute(update(Verdict).values(probability=case((Verdict.swapped, 0.0), else_=1.0)))

    home = researcher.get("/api/v1/home").json()

    assert (home["evaluations"]["succeeded"], home["evaluations"]["newest"]) == (1, [])


def test_only_own_work_is_resumed(researcher: Client, make_client: Callable[..., Client]) -> None:
    """“Continue where you left off” holds what the caller began, not what others did."""
    fill(researcher.user)

    home = make_client(Role.researcher).get("/api/v1/home").json()

    assert [line["kind"] for line in home["resume"]] == ["label"]


def fill(user: User) -> None:
    """Ten pairs of which three are labelled, four runs, and an evaluation of twenty matches, three quarters won."""
    with transaction() as session:
        own = {"project_id": projects.default(session).id}
        dataset = Dataset(**own, name="Questions", kind=Kind.paired)
        base = Checkpoint(**own, name="Base", source=Source.toy, path="/a", architecture="x", parameters=1)
        trained = Checkpoint(**own, name="Trained", source=Source.run, path="/b", architecture="x", parameters=1)
        session.add_all([dataset, base, trained])
        session.flush()
        snapshot = Snapshot(
            **own, dataset_id=dataset.id, hash="0" * 64, kind=Kind.paired, policy={}, counts={}, path="s"
        )
        items = [item(own["project_id"], dataset.id, position) for position in range(10)]
        session.add_all([snapshot, *items])
        session.flush()
        said = {"annotator_id": user.id, "source": LabelSource.person, "value": {"strength": 2}}
        session.add_all(Label(**own, item_id=one.id, dataset_id=dataset.id, **said) for one in items[:3])
        tallies.recount(session, [dataset.id])
        states = [("First", State.succeeded), ("Failed", State.failed), ("Second", State.running), ("Q", State.queued)]
        for name, state in states:
            kind = {"kind": "preference", "spec": {}, "objective": "dpo", "created_by": user.id}
            session.add(Run(**own, **kind, name=name, state=state, checkpoint_id=base.id, snapshot_id=snapshot.id))
            session.flush()
        evaluation = Evaluation(
            **own,
            name="Against base",
            contestants=[str(base.id), str(trained.id)],
            prompts={},
            judge={"name": "toy_truth"},
            sampling={},
            seed=0,
            state=State.succeeded,
            created_by=user.id,
        )
        session.add(evaluation)
        session.flush()
        for position in range(20):
            judge(session, own["project_id"], evaluation.id, (base.id, trained.id), position)


def item(project_id: uuid.UUID, dataset_id: uuid.UUID, position: int) -> Item:
    return Item(
        project_id=project_id,
        dataset_id=dataset_id,
        position=position,
        split="train",
        prompt=[{"role": "user", "content": f"Question {position}"}],
        prompt_hash=f"p{position}",
        content_hash=f"c{position}",
        responses=[{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}],
    )


def judge(
    session: Session, project_id: uuid.UUID, evaluation_id: uuid.UUID, pair: tuple[uuid.UUID, uuid.UUID], n: int
) -> None:
    """A match judged in both orders; the trained one, on either side, wins all but every fourth."""
    base, trained = pair
    first = n % 2 == 0
    match = Match(
        project_id=project_id,
        evaluation_id=evaluation_id,
        position=n,
        prompt=[],
        prompt_hash=f"m{n}",
        checkpoint_a=trained if first else base,
        checkpoint_b=base if first else trained,
        sampling={},
        seed=0,
    )
    session.add(match)
    session.flush()
    won = n % 4 != 3
    for swapped in (False, True):
        session.add(
            Verdict(
                project_id=project_id,
                match_id=match.id,
                source=VerdictSource.judge,
                judge="toy_truth",
                swapped=swapped,
                probability=float(won == first),
            )
        )
