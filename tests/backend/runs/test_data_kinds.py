"""Datasets of every kind: what a run takes of each, and what cannot feed its objective, before anything is frozen."""

from typing import Any

import pytest
from sqlalchemy import func, select

from alignment.formats import Item
from backend.datasets import service as datasets
from backend.datasets.models import Kind, Snapshot
from backend.db import transaction
from backend.projects import service as projects
from tests.backend.runs.conftest import Body
from tests.conftest import Client

FACTS: dict[str, dict[str, Any]] = {
    "unpaired": {"desirable": True},
    "demonstrations": {},
    "ranked": {"ranks": [2.0, 1.0, 3.0]},
}


def items(kind: str) -> list[Item]:
    """Ninety items; of thumbs each third is up."""
    found = []
    for n in range(90):
        answers = [{"role": "assistant", "content": f"{word} {n}"} for word in ("one", "two", "three")]
        facts = {**FACTS[kind], **({"desirable": n % 3 == 0} if kind == "unpaired" else {})}
        prompt = [{"role": "user", "content": f"Question {n}"}]
        found.append(Item(prompt, answers if kind == "ranked" else answers[:1], facts=facts))  # type: ignore[arg-type]
    return found


@pytest.fixture
def held(clean: None) -> Any:
    """The id of a dataset of a kind."""

    def make(kind: str) -> str:
        with transaction() as session:
            project = projects.default(session)
            return str(datasets.create_from_items(session, project, kind, items(kind), kind=Kind(kind)).id)

    return make


FITTING = [
    ("kto", "unpaired", None),
    ("bco", "unpaired", None),
    ("npo", "unpaired", 2 / 3),
    ("grad_diff", "unpaired", None),
    ("f_sft", "demonstrations", None),
    ("pl_dpo", "ranked", None),
]


@pytest.mark.parametrize(("name", "kind", "share"), FITTING, ids=[f"{one[0]}-{one[1]}" for one in FITTING])
def test_a_dataset_that_feeds_its_objective_is_frozen_and_launched(
    researcher: Client, body: Body, held: Any, name: str, kind: str, share: float | None
) -> None:
    """The pre-flight tells the examples that the run will take, and the launch takes as many."""
    sent = body(objective={"name": name}, dataset_id=held(kind), duration={"epochs": 1})
    told = researcher.post("/api/v1/runs/preflight", json=sent).json()
    run = researcher.post("/api/v1/runs", json=sent)

    assert told["errors"] == []
    assert run.status_code == 202, run.text
    with transaction() as session:
        snapshot = session.scalars(select(Snapshot)).one()
    expected = snapshot.counts["train"]
    if share is not None:
        expected -= snapshot.counts["desirable"]["train"]
        assert expected == pytest.approx(share * snapshot.counts["train"], abs=10)
    assert snapshot.kind == kind
    assert told["estimate"]["examples"] == expected
    assert run.json()["total"] == told["estimate"]["steps"]


def test_pairs_taken_apart_feed_objectives_of_single_answers(researcher: Client, body: Body) -> None:
    """By an explicit choice, and then each pair is two examples."""
    whole = researcher.post("/api/v1/runs/preflight", json=body()).json()
    refused = researcher.post("/api/v1/runs/preflight", json=body(objective={"name": "kto"})).json()["errors"][0]
    apart = researcher.post("/api/v1/runs/preflight", json=body(objective={"name": "kto"}, pairs="apart")).json()

    assert (refused["field"], "take the sides of pairs apart" in refused["remedy"]) == ("dataset_id", True)
    assert apart["errors"] == []
    assert apart["estimate"]["examples"] == 2 * whole["estimate"]["examples"]
    assert "pairs: apart" in apart["yaml"]


UNFIT: list[tuple[dict[str, Any], str | None, str, str]] = [
    ({"objective": {"name": "dpo"}}, "unpaired", "dataset_id", "Choose pairs"),
    ({"objective": {"name": "kto"}}, "ranked", "dataset_id", "answers with a thumb"),
    ({"objective": {"name": "kto"}}, "demonstrations", "dataset_id", "Add data that have them"),
    ({"objective": {"name": "lipo_lambda"}}, "ranked", "dataset_id", "score"),
    ({"objective": {"name": "pl_dpo"}}, "unpaired", "dataset_id", "Choose rankings"),
    ({"objective": {"name": "dpo"}, "pairs": "apart"}, None, "pairs", "Take them together"),
]


@pytest.mark.parametrize(
    ("changes", "kind", "field", "words"),
    UNFIT,
    ids=[f"{one[0]['objective']['name']}-{one[1]}" for one in UNFIT],
)
def test_a_dataset_that_cannot_feed_its_objective_is_refused_before_anything_is_kept(
    researcher: Client, body: Body, held: Any, changes: dict[str, Any], kind: str | None, field: str, words: str
) -> None:
    """The field and what would do, in the pre-flight as in the launch."""
    sent = body(**changes) | ({"dataset_id": held(kind)} if kind else {})
    answer = researcher.post("/api/v1/runs", json=sent)
    told = researcher.post("/api/v1/runs/preflight", json=sent).json()

    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert words in answer.json()["remedy"]
    assert told["errors"][0]["field"] == field
    assert words in told["errors"][0]["remedy"]
    with transaction() as session:
        assert session.scalar(select(func.count()).select_from(Snapshot)) == 0


def test_what_one_dataset_lacks_another_of_the_mixture_may_have(researcher: Client, body: Body, held: Any) -> None:
    """Gradient difference: unwanted answers of one, demonstrations of another."""
    parts = [{"dataset_id": held(kind), "weight": 1.0} for kind in ("unpaired", "demonstrations")]
    sent = body(objective={"name": "grad_diff"}) | {"mixture": parts}
    del sent["dataset_id"]

    assert researcher.post("/api/v1/runs/preflight", json=sent).json()["errors"] == []
    assert researcher.post("/api/v1/runs", json=sent).status_code == 202
