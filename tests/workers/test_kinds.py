"""Runs of other kinds on real parts: asked for over HTTP, taken from the queue, trained in a process, kept in rows."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from transformers import AutoModelForSequenceClassification

from alignment.formats import Item
from backend import storage
from backend.checkpoints.models import Checkpoint, CheckpointKind
from backend.datasets import service as datasets
from backend.datasets.models import Dataset
from backend.datasets.models import Kind as DataKind
from backend.db import transaction
from backend.projects import service as projects
from tests import loop
from tests.conftest import Client
from workers.tasks import train

pytestmark = pytest.mark.usefixtures("warm")
PROMPTS = 300
"""One in twenty is held out, by a hash with the project's id, which is new each time: of so many there always are."""


def answers() -> Dataset:
    """A dataset of the friendly answers alone."""
    items = [Item(one.prompt, one.responses[:1]) for one in loop.pairs(PROMPTS)]
    return stored("Answers", items, DataKind.demonstrations)


def thumbs() -> Dataset:
    """A dataset of single answers, of which the friendly ones are wanted."""
    items = [
        Item(one.prompt, one.responses[place % 2 :][:1], facts={"desirable": place % 2 == 0})
        for place, one in enumerate(loop.pairs(PROMPTS))
    ]
    return stored("Thumbs", items, DataKind.unpaired)


def stored(name: str, items: list[Item], kind: DataKind) -> Dataset:
    with transaction() as session:
        return datasets.create_from_items(session, projects.default(session), name, items, kind=kind)


def trained(client: Client, body: dict[str, Any]) -> tuple[dict[str, Any], Checkpoint]:
    """The run once a worker has taken it, and its last checkpoint."""
    asked = client.post("/api/v1/runs", json=body)
    assert asked.status_code == 202, asked.text
    train.work()
    run = client.get(f"/api/v1/runs/{asked.json()['id']}").json()
    assert (run["state"], run["reason"], run["done"]) == ("succeeded", None, 4)
    with transaction() as session:
        query = select(Checkpoint).where(Checkpoint.run_id == run["id"]).order_by(Checkpoint.step.desc())
        checkpoint = session.scalars(query).first()
        assert checkpoint is not None
        return run, checkpoint


@pytest.mark.slow
def test_demonstrations_then_a_reward_model(researcher: Client, clean: None, tiny: Path) -> None:
    """A run on demonstrations leaves a model to start from; a reward model on it leaves one that scores alone."""
    base, pairs = loop.add_checkpoint(tiny), loop.add_dataset(PROMPTS)
    run, tuned = trained(researcher, loop.run_body(base, answers(), kind="sft", objective={"name": "sft"}))
    assert {"loss", "eval/loss", "mean_token_accuracy"} <= set(run["metrics"])
    assert tuned.kind is CheckpointKind.language_model

    scores = loop.run_body(tuned, pairs, kind="reward_model", objective={"name": "bradley_terry", "heads": 2})
    run, model = trained(researcher, scores)
    assert {"loss", "accuracy", "eval/accuracy"} <= set(run["metrics"])
    assert (model.kind, model.parent_id) == (CheckpointKind.reward_model, tuned.id)
    loaded = AutoModelForSequenceClassification.from_pretrained(storage.local(model.path))
    assert loaded.config.id2label == {0: "head_1", 1: "head_2"}
    again = researcher.post("/api/v1/runs", json=loop.run_body(model, pairs))
    assert (again.status_code, again.json()["field"]) == (422, "checkpoint_id")


@pytest.mark.slow
def test_a_preference_run_on_single_answers(researcher: Client, clean: None, tiny: Path) -> None:
    """An objective that is not DPO, on data that are not pairs: KTO's point is of the whole batch, its rewards are of
    wanted and unwanted answers, and what it leaves is a model to start from."""
    base = loop.add_checkpoint(tiny)
    body = loop.run_body(base, thumbs(), objective={"name": "kto", "beta": 0.2, "lam_u": 1.5})

    run, tuned = trained(researcher, body)

    assert {"loss", "eval/loss", "rewards/accuracies"} <= set(run["metrics"])
    assert (tuned.kind, tuned.parent_id) == (CheckpointKind.language_model, base.id)
    assert run["objective"] == "kto"
