"""Runs on several datasets: frozen each, mixed by weight, shown on the run and in the lineage."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from alignment.formats import Item, LabelFacts
from backend.checkpoints.models import Checkpoint
from backend.datasets import service as datasets
from backend.db import transaction
from backend.projects import service as projects
from backend.runs import service
from backend.runs.models import Run, RunSnapshot
from tests.conftest import Client

Data = Callable[..., str]
NOBODYS = "0199c0de-0000-7000-8000-000000000000"
MIXED = {"name": "mixed", "objective": {"name": "dpo"}, "batch": {"examples_per_step": 4}}


@pytest.fixture
def data(clean: None) -> Data:
    """Makes a dataset of labelled pairs, all of them its own, and gives its id."""

    def make(name: str, count: int) -> str:
        with transaction() as session:
            items = [
                Item(
                    [{"role": "user", "content": f"{name} {n}?"}],
                    [{"role": "assistant", "content": answer} for answer in ("Yes, gladly.", f"No {n}.")],
                    [LabelFacts({"strength": 1})],
                )
                for n in range(count)
            ]
            return str(datasets.create_from_items(session, projects.default(session), name, items).id)

    return make


@pytest.fixture
def checkpoint_id(base: Checkpoint) -> str:
    return str(base.id)


def test_a_run_keeps_its_mixture(researcher: Client, checkpoint_id: str, data: Data) -> None:
    """Each dataset is frozen; the spec that training reads has their folders and weights, the run page their shares."""
    first, second = data("one", 40), data("two", 20)
    parts = [{"dataset_id": first, "weight": 1}, {"dataset_id": second, "weight": 3}]
    body = MIXED | {"checkpoint_id": checkpoint_id, "mixture": parts}

    checked = researcher.post("/api/v1/runs/preflight", json=body).json()
    assert checked["errors"] == []
    assert "weight: 3.0" in checked["yaml"]
    launched = researcher.post("/api/v1/runs", json=body)
    assert launched.status_code == 202, launched.text

    shown = researcher.get(f"/api/v1/runs/{launched.json()['id']}").json()
    assert [(one["dataset"], one["share"]) for one in shown["data"]] == [("one", 0.25), ("two", 0.75)]
    assert shown["total"] == sum(one["train"] for one in shown["data"]) // 4
    with transaction() as session:
        run = session.scalars(select(Run)).one()
        spec = service.materials(session, run).shown()
        assert [source.weight for source in spec.snapshots] == [1.0, 3.0]
        assert len(session.scalars(select(RunSnapshot)).all()) == 2
        assert "mixture" not in run.spec


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda parts: [parts[0]], "mixture"),
        (lambda parts: [parts[0], parts[0]], "mixture"),
        (lambda parts: [parts[0], {"dataset_id": parts[1]["dataset_id"]}], "mixture"),
        (lambda parts: [parts[0], parts[1] | {"weight": 0}], "mixture"),
        (lambda parts: [parts[0], {"weight": 1}], "mixture"),
        (lambda parts: [parts[0], parts[1] | {"dataset_id": NOBODYS}], ""),
    ],
)  # fmt: skip
def test_mixtures_that_make_no_sense_are_refused(
    researcher: Client, checkpoint_id: str, data: Data, change: Callable[[Any], Any], field: str
) -> None:
    """One part, one part twice, some weights, weights of nothing, another project's data: each names its field."""
    parts = [{"dataset_id": data("one", 20), "weight": 1}, {"dataset_id": data("two", 20), "weight": 3}]
    answer = researcher.post("/api/v1/runs", json=MIXED | {"checkpoint_id": checkpoint_id, "mixture": change(parts)})
    assert answer.status_code in (404, 422)
    assert (answer.json()["field"] or "").startswith(field)


def test_one_source_or_a_mixture(researcher: Client, checkpoint_id: str, data: Data) -> None:
    """A run on a dataset and a mixture at once is refused; a program elsewhere takes one snapshot."""
    first, second = data("one", 20), data("two", 20)
    parts = [{"dataset_id": first}, {"dataset_id": second}]
    both = MIXED | {"checkpoint_id": checkpoint_id, "dataset_id": first, "mixture": parts}
    assert researcher.post("/api/v1/runs", json=both).status_code == 422
    elsewhere = MIXED | {"checkpoint_id": checkpoint_id, "mixture": parts, "where": "report"}
    answer = researcher.post("/api/v1/runs", json=elsewhere)
    assert (answer.status_code, answer.json()["field"]) == (422, "mixture")
