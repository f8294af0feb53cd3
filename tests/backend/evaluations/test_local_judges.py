"""Models of this machine judge evaluations: what is refused before, what their verdicts hold, what they cannot read."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from sqlalchemy.orm import Session
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint, CheckpointKind, Source
from backend.datasets.models import Dataset, Snapshot
from backend.db import transaction
from backend.evaluations import judging
from backend.evaluations.schemas import EvaluationOut
from backend.projects import service as projects
from backend.projects.models import Project
from backend.runs.models import Run
from tests.backend.evaluations.conftest import Body
from tests.conftest import Client
from workers.tasks import evaluate

Register = Callable[..., uuid.UUID]
FAR = {"base_url": "http://far/v1", "model": "m", "secret": None, "concurrency": 1, "timeout_seconds": 1}


@pytest.fixture(scope="session")
def scoring(folders: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model's folder, as transformers saves it: one label."""
    folder = tmp_path_factory.mktemp("rewards") / "scoring"
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(folders[0], num_labels=1)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(folders[0]).save_pretrained(folder)
    return folder


@pytest.fixture
def reward_model(register: Register, scoring: Path) -> str:
    """Its id."""
    return kind_of(str(register("A reward model", scoring)))


def kind_of(checkpoint: str) -> str:
    """The checkpoint, known as a reward model."""
    with transaction() as session:
        session.get_one(Checkpoint, uuid.UUID(checkpoint)).kind = CheckpointKind.reward_model
    return checkpoint


def judged(client: Client, body: Body, judge: Body) -> tuple[Body, list[Body]]:
    """The report and the matches of an evaluation by this judge."""
    made = client.post("/api/v1/evaluations", json=body | {"judge": judge})
    assert made.status_code == 202, made.text
    evaluate.work()
    report = client.get(f"/api/v1/evaluations/{made.json()['id']}/report").json()
    matches = client.get(f"/api/v1/evaluations/{made.json()['id']}/matches").json()["items"]
    return report, matches


def refused(client: Client, body: Body, judge: Body) -> tuple[str, str]:
    """The field and the detail of a launch that is refused."""
    made = client.post("/api/v1/evaluations", json=body | {"judge": judge})
    assert made.status_code == 422, made.text
    return made.json()["field"], made.json()["detail"]


def test_models_that_score_judge_both_orders_alike(
    researcher: Client, body: Body, pair: list[str], reward_model: str
) -> None:
    """Reward model, implicit reward and density ratio: every match has scores, and the side makes no difference."""
    for judge in (
        {"name": "reward_model", "members": [reward_model]},
        {"name": "implicit_reward", "checkpoint": pair[1], "reference": pair[0]},
        {"name": "density_ratio", "strong": pair[1], "weak": pair[0], "over": "mean"},
    ):
        report, matches = judged(researcher, body, judge)
        assert report["evaluation"]["state"] == "succeeded", report["evaluation"]["reason"]
        (table,) = report["tables"]
        assert (table["judge"], table["verdicts"], table["consistency"]["rate"]) == (judge["name"], 24, 1.0)
        for match in matches:
            one, turned = match["verdicts"]
            assert one["scores"] == turned["scores"]
            assert one["probability"] == pytest.approx(turned["probability"], abs=1e-9)
            better = one["scores"][0]["score"] - one["scores"][1]["score"]
            assert (one["probability"] > 0.5) == (better > 0) or abs(better) < 1e-6
        assert set(report["evaluation"]["judge_models"]) == set(judge) - {"name", "over", "members"} | (
            {"members.0"} if "members" in judge else set()
        )
    assert report["evaluation"]["judge"]["over"] == "mean"


def test_a_local_model_judges_in_words(researcher: Client, body: Body, pair: list[str]) -> None:
    """Its letters are read from its probabilities in both orders; what it writes without a verdict is counted."""
    brief, matches = judged(researcher, body, {"name": "llm", "checkpoint": pair[0], "explain": False})
    assert brief["evaluation"]["state"] == "succeeded"
    (table,) = brief["tables"]
    reasons = {one["reason"] for match in matches for one in match["verdicts"]}
    assert table["verdicts"] == 24
    assert reasons <= {None, "The judge's reply holds no verdict.", "The judging model cannot read this match."}
    assert all(
        "reads 128 at once" in one["text"] for m in matches for one in m["verdicts"] if "cannot" in str(one["reason"])
    )
    assert sum(sum(one["undecided"].values()) for one in table["pairs"]) == sum(
        one["probability"] is None for match in matches for one in match["verdicts"]
    )


def test_what_does_not_fit_is_refused_at_its_field(
    researcher: Client,
    body: Body,
    pair: list[str],
    reward_model: str,
    register: Register,
    folders: list[Path],
) -> None:
    """No reward model, an endpoint, another project's, itself, nobody's reference, no template: each with its field."""
    with transaction() as session:
        home = projects.default(session).id
        endpoint = Checkpoint(
            project_id=home,
            name="far",
            source=Source.endpoint,
            path="http://far/v1",
            architecture="",
            parameters=0,
            endpoint={
                "base_url": "http://far/v1",
                "model": "m",
                "secret": None,
                "concurrency": 1,
                "timeout_seconds": 1,
            },
        )
        other = Project(name="Other")
        session.add_all([endpoint, other])
        session.flush()
        foreign = Checkpoint(
            project_id=other.id, name="foreign", source=Source.folder, path="/x", architecture="", parameters=0
        )
        session.add(foreign)
        session.flush()
        far, strange = str(endpoint.id), str(foreign.id)
        bare = session.get_one(Checkpoint, register("No template", folders[2]))
        bare.own_template = False
        plain = str(bare.id)
    cases: list[tuple[Body, str, str]] = [
        ({"name": "reward_model", "members": [reward_model, pair[0]]}, "judge.members.1", "is no reward model"),
        ({"name": "reward_model", "members": []}, "judge.members", "not be empty"),
        ({"name": "reward_model", "members": [far]}, "judge.members.0", "is an endpoint"),
        ({"name": "reward_model", "members": [strange]}, "judge.members.0", "no such checkpoint"),
        ({"name": "reward_model", "members": [str(uuid.uuid4())]}, "judge.members.0", "no such checkpoint"),
        ({"name": "implicit_reward", "checkpoint": pair[0]}, "judge.reference", "comes from no run"),
        ({"name": "implicit_reward", "checkpoint": pair[0], "reference": pair[0]}, "judge.reference", "itself"),
        ({"name": "implicit_reward", "checkpoint": far, "reference": pair[0]}, "judge.checkpoint", "is an endpoint"),
        ({"name": "implicit_reward", "checkpoint": reward_model, "reference": pair[0]}, "judge.checkpoint", "scores"),
        ({"name": "density_ratio", "strong": pair[0], "weak": pair[0]}, "judge.weak", "itself"),
        ({"name": "density_ratio", "strong": pair[0], "weak": plain}, "judge.weak", "no chat template"),
        ({"name": "llm", "checkpoint": reward_model}, "judge.checkpoint", "scores responses"),
    ]
    for judge, field, words in cases:
        assert refused(researcher, body, judge)[0] == field, judge
        assert words in refused(researcher, body, judge)[1], judge


def test_the_run_says_what_is_not_given(researcher: Client, body: Body, pair: list[str]) -> None:
    """An implicit reward takes reference, beta and the way over tokens from the run of its checkpoint."""
    with transaction() as session:
        trained = session.get_one(Checkpoint, uuid.UUID(pair[1]))
        dataset = Dataset(project_id=trained.project_id, name="d", kind="paired")
        session.add(dataset)
        session.flush()
        snapshot = Snapshot(
            dataset_id=dataset.id,
            project_id=trained.project_id,
            hash="0" * 64,
            kind="paired",
            policy={},
            label_watermark=None,
            counts={},
            path="x",
        )
        session.add(snapshot)
        session.flush()
        run = Run(
            project_id=trained.project_id,
            name="r",
            kind="preference",
            objective="simpo",
            spec={"objective": {"name": "simpo", "beta": 2.5}},
            checkpoint_id=uuid.UUID(pair[0]),
            snapshot_id=snapshot.id,
        )
        session.add(run)
        session.flush()
        trained.run_id = run.id

    made = researcher.post(
        "/api/v1/evaluations", json=body | {"judge": {"name": "implicit_reward", "checkpoint": pair[1]}}
    )

    assert made.status_code == 202, made.text
    judge = made.json()["judge"]
    assert (judge["reference"], judge["beta"], judge["over"]) == (pair[0], 2.5, "mean")


def test_a_judge_is_kept(researcher: Client, body: Body, reward_model: str) -> None:
    """A checkpoint that has judged is referred to: no rule deletes its weights."""
    judged(researcher, body, {"name": "reward_model", "members": [reward_model]})
    with transaction() as session:
        assert checkpoints.used(session, session.get_one(Checkpoint, uuid.UUID(reward_model)))


@pytest.mark.parametrize("voice", ["panel/3", "panel/0", "panel/-1", "panel/x", "panel/", "2"])
def test_a_member_that_there_is_not(voice: str) -> None:
    """Whoever asks for a member beyond the panel's own is told nothing of another one, and nothing breaks."""
    spec = {"name": "panel", "members": [{"name": "rules"}, {"name": "checks"}]}
    assert judging.called(cast(Session, None), spec, voice) == voice
    assert judging.called(cast(Session, None), spec, "panel/2") == "checks"
    asked: dict[str, Any] = {"judge": spec, "judge_model": None, "judge_models": {}}
    evaluation = EvaluationOut.model_construct(**asked)
    assert judging.in_words(voice, evaluation) == voice
    assert judging.in_words("panel/2", evaluation) == "member 2 of the panel (checks)"
