"""Judges on labelled pairs: who may, what is refused, and how often which judge is right."""

import random
import uuid
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from alignment.formats import Item as ReadItem
from alignment.formats import snapshot
from alignment.training import train
from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint, CheckpointKind
from backend.datasets import service as datasets
from backend.db import transaction
from backend.projects import service as projects
from tests.alignment.training.conftest import WORDS, moved, sentence
from tests.backend.accuracy.conftest import KIND, RUDE, Body, measured
from tests.backend.datasets.conftest import lines, upload
from tests.checkpoints import make_llama
from tests.conftest import SHARED, Client
from tests.court import Court
from tests.loop import add_checkpoint
from workers.tasks import accuracies, imports

PROMPT: Any = [{"role": "user", "content": "Tea?"}]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama folder with random weights that reads long texts."""
    torch.set_num_threads(1)
    rng = random.Random(1)
    texts = [sentence(rng) for _ in range(100)]
    return make_llama(tmp_path_factory.mktemp("models") / "base", texts, hidden=16, layers=1, context=8192)


@pytest.fixture(scope="module")
def untrained(base: Path) -> Path:
    """A reward model with random weights."""
    folder = base.parent / "untrained"
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_pretrained(base, num_labels=1).save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def trained(base: Path) -> Path:
    """A reward model that has learned to like thanks."""
    rng = random.Random(2)
    rows = [
        snapshot.Example(
            id=str(number),
            split="train",
            prompt=[{"role": "user", "content": sentence(rng)}],
            responses=[{"role": "assistant", "content": f"{which} {sentence(rng)}"} for which in (KIND, RUDE)],
        )
        for number in range(48)
    ]
    data = snapshot.write(base.parent / "data", rows, kind="paired", policy={}, dataset={})
    spec = {
        "kind": "reward_model",
        "checkpoint": str(base),
        "snapshots": [{"path": str(base.parent / "data" / data.hash)}],
        "optimizer": {"learning_rate": 3e-2, "warmup_ratio": 0},
        "batch": {"examples_per_step": 16},
        "duration": {"steps": 12},
    }
    found = train(spec, base.parent / "run").checkpoint
    assert found is not None
    return found


def register(folder: Path, kind: CheckpointKind = CheckpointKind.reward_model) -> str:
    """The checkpoint's id."""
    made = add_checkpoint(folder, folder.name)
    with transaction() as session:
        session.get_one(Checkpoint, made.id).kind = kind
    return str(made.id)


def test_a_trained_reward_model_is_right(researcher: Client, pairs: str, trained: Path, untrained: Path) -> None:
    """It prefers what people preferred, by subset and with an interval; the page of either side lists it."""
    model = register(trained)
    found = measured(researcher, pairs, {"name": "reward_model", "members": [model]})
    result = found["result"]
    every, even, odd = result["parts"]

    assert (found["state"], found["done"], found["total"], found["dataset"]) == ("succeeded", 80, 80, "Thanks")
    assert found["judge_models"]["members.0"]["id"] == model
    assert (every["subset"], even["subset"], odd["subset"]) == ("", "even", "odd")
    assert (every["accuracy"]["n"], even["accuracy"]["n"]) == (40, 20)
    assert every["accuracy"]["low"] > 0.6
    assert result["consistency"]["rate"] == 1.0
    assert result["left_out"] == {"unlabelled": 1}
    assert len(result["wrong"]) == every["accuracy"]["losses"]
    for path in (f"datasets/{pairs}", f"checkpoints/{model}"):
        assert [one["id"] for one in researcher.get(f"/api/v1/{path}/accuracies").json()["items"]] == [found["id"]]
    other = register(untrained)
    assert researcher.get(f"/api/v1/checkpoints/{other}/accuracies").json()["items"] == []
    with transaction() as session:
        assert checkpoints.used(session, session.get_one(Checkpoint, uuid.UUID(model)))


def published(client: Client, name: str) -> tuple[str, int]:
    """A dataset of a published file, where it lies beside the repository, else of words drawn at random."""
    file = SHARED / f"pairwise_{name}.jsonl"
    rng = random.Random(4)
    drawn = [
        {"prompt": sentence(rng), "chosen": sentence(rng), "rejected": sentence(rng), "subset": one}
        for one in WORDS[:4] * 60
    ]
    content = file.read_bytes() if file.is_file() else lines(drawn)
    asked = {"upload_id": upload(client, content, f"{name}.jsonl"), "name": name}
    made = client.post("/api/v1/imports", json=asked).json()
    imports.work()
    row = client.get(f"/api/v1/imports/{made['id']}").json()
    assert row["state"] == "succeeded", row
    return row["dataset_id"], row["rows_good"]


@pytest.mark.parametrize("name", ["llmbar", "hhh_alignment"])
def test_random_weights_are_right_half_of_the_time(researcher: Client, base: Path, untrained: Path, name: str) -> None:
    """On published pairs a reward model and an implicit reward run from file to number, by subset, near a half."""
    dataset, rows = published(researcher, name)
    some = 30  # short of all, for the sake of time
    policy = base.parent / f"policy-{name}"
    models = [register(moved(base, policy, 0.2), CheckpointKind.language_model)]
    models += [register(base, CheckpointKind.language_model), register(untrained)]
    for judge in (
        {"name": "reward_model", "members": [models[2]]},
        {"name": "implicit_reward", "checkpoint": models[0], "reference": models[1], "over": "mean"},
    ):
        found = measured(researcher, dataset, judge, limit=some)
        assert found["state"] == "succeeded", found
        every, *subsets = found["result"]["parts"]
        assert every["accuracy"]["n"] + every["undecided"] == some < rows
        assert every["undecided"] < some / 10
        assert every["accuracy"]["low"] < 0.55
        assert every["accuracy"]["high"] > 0.45
        assert len(subsets) > 2
        assert sum(one["accuracy"]["n"] for one in subsets) == every["accuracy"]["n"]


@pytest.mark.parametrize(
    ("says", "words", "n"),
    [("A", "nearly always prefers the response that is shown first", 6), ("So so.", "decided nothing", 0)],
    ids=["always A", "garbage"],
)
def test_a_judge_that_is_none(
    researcher: Client, court: Court, judge: Body, pairs: str, says: str, words: str, n: int
) -> None:
    """One that always says A, or nothing readable: said in words, and its number is a tie or none."""
    court.verdict = lambda _question: says
    found = measured(researcher, pairs, judge, limit=6)["result"]

    assert any(words in one for one in found["statements"])
    assert (found["parts"][0]["accuracy"]["n"], found["parts"][0]["accuracy"]["ties"]) == (n, n)
    assert sum(found["reasons"].values()) == (0 if n else 12)


def test_what_cannot_be_measured(researcher: Client, annotator: Client, anonymous: Client, pairs: str) -> None:
    """People, no pairs, no labels, unknown judges: a sentence each, at launch where it can be known."""
    path = f"/api/v1/datasets/{pairs}/accuracies"
    rules = {"judge": {"name": "rules"}}
    assert anonymous.post(path, json=rules).status_code == 401
    assert annotator.post(path, json=rules).status_code == 403
    assert researcher.post(f"/api/v1/datasets/{uuid.uuid4()}/accuracies", json=rules).status_code == 404
    for body, field in (
        ({"judge": {"name": "people"}}, "judge.name"),
        ({"judge": {"name": "rulez"}}, "judge.name"),
        ({**rules, "limit": 0}, "limit"),
        ({**rules, "split": "all"}, "split"),
    ):
        answer = researcher.post(path, json=body)
        assert (answer.status_code, answer.json()["field"]) == (422, field)
    with transaction() as session:
        bare = [ReadItem(prompt=PROMPT, responses=[{"role": "assistant", "content": text} for text in "ab"])]
        unlabelled = str(datasets.create_from_items(session, projects.default(session), "Bare", bare).id)
    assert measured(researcher, unlabelled, rules["judge"])["reason"] == accuracies.NOTHING
