"""Kinds of runs through the API: which data and which losses each takes, and what its checkpoints are."""

import uuid
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

import frontend
from alignment.formats import Item
from alignment.formats import snapshot as frozen
from alignment.training.kinds import KINDS
from backend import storage
from backend.checkpoints import service as checkpoints
from backend.checkpoints.folder import Facts
from backend.checkpoints.models import Checkpoint, CheckpointKind
from backend.datasets import service as datasets
from backend.datasets.models import Kind as DataKind
from backend.datasets.models import Snapshot
from backend.db import transaction
from backend.projects import service as projects
from backend.runs.models import Run
from tests.backend.runs.conftest import Body, Launched
from tests.conftest import Client

SFT = {"kind": "sft", "objective": {"name": "sft"}}
SCORES = {"kind": "reward_model", "objective": {"name": "bradley_terry"}}


@pytest.fixture
def demonstrations(clean: None) -> str:
    """The id of a dataset of forty single answers."""
    said = [
        Item([{"role": "user", "content": f"Question {n}?"}], [{"role": "assistant", "content": f"Answer {n}."}])
        for n in range(40)
    ]
    with transaction() as session:
        return str(
            datasets.create_from_items(
                session, projects.default(session), "Answers", said, kind=DataKind.demonstrations
            ).id
        )


def refused(client: Client, body: dict[str, Any]) -> tuple[str, str]:
    """Field and sentence of what forbids a run, the same in the pre-flight and in the launch."""
    told = client.post("/api/v1/runs/preflight", json=body).json()["errors"]
    answer = client.post("/api/v1/runs", json=body)
    assert answer.status_code == 422, answer.text
    assert any(one["detail"].rstrip(".") in answer.json()["detail"] for one in told)
    return answer.json()["field"], answer.json()["detail"]


def test_the_form_tells_of_every_kind(researcher: Client) -> None:
    """Each with its losses, as the catalogue tells of objectives; a preference run's are the catalogue."""
    kinds = {kind["name"]: kind for kind in researcher.get("/api/v1/run-form").json()["kinds"]}

    assert list(kinds) == list(KINDS)
    assert kinds["preference"]["losses"] == []
    assert [loss["name"] for loss in kinds["sft"]["losses"]] == ["sft"]
    scores, embeddings = (kinds["reward_model"]["losses"][place] for place in (0, -1))
    assert (scores["name"], scores["schema"]["properties"]["center"]["minimum"]) == ("bradley_terry", 0)
    assert embeddings["schema"]["properties"]["dimensions"]["multipleOf"] == 2
    script = (Path(frontend.__file__).parent / "assets" / "run-state.js").read_text()
    told = [one for kind in kinds.values() for one in kind["losses"]]
    assert [one["name"] for one in told if f'{one["name"]}: "{one["title"]}"' not in script] == []


def test_demonstrations_are_frozen_and_trained_on(researcher: Client, demonstrations: str, launched: Launched) -> None:
    """The snapshot holds every answer in its split, as no label speaks against it; the run says what it is."""
    run = launched(**SFT, dataset_id=demonstrations)

    assert (run["kind"], run["objective"]) == ("sft", "sft")
    with transaction() as session:
        row = session.get_one(Snapshot, uuid.UUID(run["snapshot_id"]))
        folder = storage.local(row.path)
    assert (row.kind, row.policy["sources"], row.counts["left_out"]) == ("demonstrations", "people_first", {})
    assert sum(len(one.responses) for one in frozen.read(folder)) == 40
    whole = researcher.get(f"/api/v1/runs/{run['id']}").json()
    assert "kind: sft" in whole["yaml"]


def test_the_usual_loss_of_a_kind(researcher: Client, body: Body, demonstrations: str) -> None:
    """A kind that has one needs no objective."""
    sent = body(kind="sft", dataset_id=demonstrations)
    del sent["objective"]

    assert researcher.post("/api/v1/runs", json=sent).json()["objective"] == "sft"


def test_data_that_a_kind_does_not_take(researcher: Client, body: Body, demonstrations: str) -> None:
    """Demonstrations have no preferences, and pairs are demonstrations only where somebody says so."""
    for changes in ({}, SCORES):
        field, words = refused(researcher, body(**changes, dataset_id=demonstrations))
        assert field == "dataset_id"
        assert "these data are demonstrations" in words
    field, words = refused(researcher, body(**SFT))
    assert (field, "these data are pairs" in words) == ("dataset_id", True)

    field, words = refused(researcher, body(kind="reward_model", objective={"name": "ranklist_rm"}))
    assert (field, "these data are pairs" in words) == ("dataset_id", True)

    assert researcher.post("/api/v1/runs/preflight", json=body(**SFT, pairs="apart")).json()["errors"] == []
    assert researcher.post("/api/v1/runs", json=body(**SFT, pairs="apart")).status_code == 202


BAD: list[tuple[dict[str, Any], str, str]] = [
    (SFT | {"objective": {"name": "dpo"}}, "objective", "DPO trains runs of kind preference"),
    (SCORES | {"objective": {"name": "sft"}}, "objective", "takes bradley_terry"),
    ({"objective": {"name": "bradley_terry"}}, "objective", "kind reward_model"),
    (SCORES | {"objective": {"name": "bradley_terry", "center": -1}}, "objective.center", "at least 0"),
    (SFT | {"objective": {"name": "sft", "mean": "median"}}, "objective.mean", "token or example"),
    (SCORES | {"objective": {"name": "gpm_rm", "dimensions": 3}}, "objective.dimensions", "multiple of 2"),
    (SCORES | {"objective": {"name": "bradley_terry", "heads": 0}}, "objective.heads", "at least 1"),
    (SCORES | {"objective": {"name": "ranklist"}}, "objective", "takes bradley_terry"),
    ({"objective": {"name": "ranklist_rm"}}, "objective", "kind reward_model"),
    (SCORES | {"keep": {"best": "eval/rewards/margins"}}, "keep.best", "does not measure"),
    ({"kind": "stf"}, "kind", "did you mean 'sft'"),
]


@pytest.mark.parametrize(("changes", "field", "words"), BAD)
def test_what_a_kind_does_not_do_is_refused(
    researcher: Client, body: Body, changes: dict[str, Any], field: str, words: str
) -> None:
    """A loss, an option or a metric of another kind is refused at its field, never ignored."""
    answer = researcher.post("/api/v1/runs", json=body(**changes))

    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("changes", [SCORES, {"objective": {"name": "simpo"}}], ids=["reward_model", "simpo"])
def test_a_reference_where_none_is_compared_with(researcher: Client, body: Body, changes: dict[str, Any]) -> None:
    """What compares with no reference takes none."""
    sent = body(**changes)
    field, words = refused(researcher, sent | {"reference_id": sent["checkpoint_id"]})

    assert (field, "no reference" in words) == ("reference_id", True)


def test_a_reward_model_is_listed_and_starts_nothing(
    researcher: Client, body: Body, launched: Launched, tmp_path: Any
) -> None:
    """What a reward-model run made is a checkpoint of its kind, refused as a base, a reference and a contestant."""
    run = launched(**SCORES)
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "config.json").write_text("{}")
    (tmp_path / "made" / "model.safetensors").write_bytes(b"")
    facts = Facts("LlamaForSequenceClassification", 10, 64, adapter=False, template=True, reward_model=True)
    with transaction() as session:
        row = session.get_one(Run, uuid.UUID(run["id"]))
        base = session.get_one(Checkpoint, row.checkpoint_id)
        made = checkpoints.add_product(
            session, run_id=row.id, run_name="R", parent=base, step=4, key=str(tmp_path / "made"), facts=facts
        )
        known = session.scalars(select(Checkpoint.kind).order_by(Checkpoint.id)).all()
        own = str(made.id)
    assert known == [CheckpointKind.language_model, CheckpointKind.reward_model]
    assert researcher.get(f"/api/v1/checkpoints/{own}").json()["kind"] == "reward_model"

    guided = {"third_ids": {"guide": own}, "objective": {"name": "tgdpo"}}
    for changes in ({"checkpoint_id": own}, {"reference_id": own}, guided):
        field, words = refused(researcher, body(**changes))
        assert (field, "is a reward model" in words) == (next(iter(changes)), True)
    contest = {
        "name": "E",
        "contestants": [own, body()["checkpoint_id"]],
        "judge": {"name": "rules", "max_words": 3},
        "prompts": {"texts": ["Hello?"]},
    }
    answer = researcher.post("/api/v1/evaluations", json=contest)
    assert (answer.status_code, answer.json()["field"]) == (422, "contestants.0")
    assert "is a reward model" in answer.json()["detail"]
