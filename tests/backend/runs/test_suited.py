"""Launching an objective that reads facts: data that lack them are refused by field and example, before a run is."""

import base64
import uuid
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from alignment.formats import Item, LabelFacts, snapshot
from alignment.formats.facts import FACTS as DATA_FACTS
from alignment.formats.preference import Policy
from alignment.objectives.facts import COLUMNS
from backend import storage
from backend.checkpoints.models import Checkpoint
from backend.datasets import service as datasets
from backend.datasets import snapshots
from backend.datasets.models import Dataset, Kind, Snapshot
from backend.datasets.writer import Writer
from backend.db import transaction
from backend.projects import service as projects
from backend.runs.models import Run
from backend.settings import get_settings
from tests import loop
from tests.conftest import Client

PER_LABEL = Policy(unit="label")


def add(scores: list[float] | None) -> Dataset:
    """Sixty scored pairs, of which a few (not all of them in the test split) have other scores, or none."""
    items = loop.pairs(60)
    for place, item in enumerate(items):
        if place not in range(7, 12):
            item.facts["scores"] = [3.0, 1.0]
        elif scores is not None:
            item.facts["scores"] = scores
    with transaction() as session:
        return datasets.create_from_items(session, projects.default(session), f"Scored {scores}", items)


def runs() -> int:
    with transaction() as session:
        return session.scalar(select(func.count()).select_from(Run)) or 0


def sent(base: Checkpoint, dataset: Dataset, **changes: Any) -> dict[str, Any]:
    return loop.run_body(base, dataset, objective={"name": "odpo_log"}, **changes)


def test_scored_pairs_are_launched(researcher: Client, base: Checkpoint) -> None:
    """Where every example has what the objective asks for, nothing stands in the way."""
    dataset = add([2.0, 1.0])

    assert researcher.post("/api/v1/runs/preflight", json=sent(base, dataset)).json()["errors"] == []
    assert researcher.post("/api/v1/runs", json=sent(base, dataset)).status_code == 202


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (None, "has no score, and ODPO asks how good each response is"),
        ([1.0, 3.0], "scores its chosen response 1 and its rejected one 3"),
    ],
)
def test_a_pair_that_does_not_fit_is_refused_before_anything_is_queued(
    scores: list[float] | None, words: str, researcher: Client, base: Checkpoint
) -> None:
    """Preflight and launch name the field of the data, the example and the reason; so do they of a frozen snapshot."""
    dataset = add(scores)
    body = sent(base, dataset)

    (error,) = researcher.post("/api/v1/runs/preflight", json=body).json()["errors"]
    refused = researcher.post("/api/v1/runs", json=body)

    assert (error["field"], refused.status_code, refused.json()["field"]) == ("dataset_id", 422, "dataset_id")
    for told in (error, refused.json()):
        assert words in told["detail"]
        assert told["remedy"]
    assert runs() == 0

    plain = researcher.post("/api/v1/runs", json=loop.run_body(base, dataset)).json()
    frozen = {key: value for key, value in body.items() if key != "dataset_id"} | {"snapshot_id": plain["snapshot_id"]}
    again = researcher.post("/api/v1/runs", json=frozen)
    assert (again.status_code, again.json()["field"]) == (422, "snapshot_id")
    (error,) = researcher.post("/api/v1/runs/preflight", json=frozen).json()["errors"]
    assert words in error["detail"]
    assert runs() == 1


def test_one_part_of_a_mixture_is_named(researcher: Client, base: Checkpoint) -> None:
    """Of several datasets, the field is that of the one that lacks something."""
    good, bad = add([2.0, 1.0]), add(None)
    body = sent(base, good) | {"mixture": [{"dataset_id": str(one.id)} for one in (good, bad)]}
    del body["dataset_id"]

    assert researcher.post("/api/v1/runs", json=body).json()["field"] == "mixture.1.dataset_id"


def test_a_rationale_is_asked_for_before_anything_is_queued(researcher: Client, base: Checkpoint) -> None:
    """Pairs without one are refused by their field; what annotators wrote is one where the policy says so."""
    items = loop.pairs(60)
    for item in items:
        item.labels = [LabelFacts({"strength": 1}, rationale="It is kinder.")]
    with transaction() as session:
        made = datasets.create_from_items(session, projects.default(session), "Told", items)
    body = loop.run_body(base, made, objective={"name": "rationale_dpo"})

    (error,) = researcher.post("/api/v1/runs/preflight", json=body).json()["errors"]
    refused = researcher.post("/api/v1/runs", json=body)
    body["policy"] = {"reasons": True}
    fine = researcher.post("/api/v1/runs/preflight", json=body).json()["errors"]
    launched = researcher.post("/api/v1/runs", json=body)

    assert (error["field"], refused.status_code, refused.json()["field"]) == ("dataset_id", 422, "dataset_id")
    assert "has no rationale" in error["detail"]
    assert "takes their reasons" in error["remedy"]
    assert fine == []
    assert launched.status_code == 202


@pytest.mark.parametrize("name", ["xpo"])
def test_an_objective_that_training_cannot_feed_is_refused_at_launch(
    name: str, researcher: Client, base: Checkpoint, dataset: Dataset
) -> None:
    """Not by the worker an hour later: the need is named by preflight and launch."""
    body = loop.run_body(base, dataset, objective={"name": name})

    refused = researcher.post("/api/v1/runs", json=body)

    assert (refused.status_code, refused.json()["field"]) == (422, "objective.name")
    assert "training does not supply yet" in refused.json()["detail"]
    (error,) = researcher.post("/api/v1/runs/preflight", json=body).json()["errors"]
    assert error["field"] == "objective.name"


def test_goals_double_the_steps_of_an_epoch(researcher: Client, base: Checkpoint) -> None:
    """Each pair is seen twice, and the run says so before it starts."""
    dataset = add([2.0, 1.0])
    totals = []
    for name in ("dpo", "ra_dpo"):
        body = loop.run_body(base, dataset, objective={"name": name}, duration={"epochs": 1})
        totals.append(researcher.post("/api/v1/runs", json=body).json()["total"])

    assert abs(totals[1] - 2 * totals[0]) <= 1


def judged(who: str) -> Dataset:
    """Thirty pairs that two judge differently: one is called `who`, the other Bob."""
    items = loop.pairs(30)
    for item in items:
        item.labels = [LabelFacts({"strength": 1}, annotator=who), LabelFacts({"strength": -1}, annotator="Bob")]
    with transaction() as session:
        dataset = datasets.create(session, projects.default(session), f"Judged by {who}", Kind.paired)
        Writer(session, dataset).add(items)
        return dataset


def test_each_label_can_be_an_example_with_its_annotator(researcher: Client, base: Checkpoint) -> None:
    """Two who contradict each other are two examples, told apart by a word that names nobody; a majority has none."""
    body = loop.run_body(base, judged("Ann"), policy={"unit": "label"})

    told = researcher.post("/api/v1/runs/preflight", json=body).json()
    run = researcher.post("/api/v1/runs", json=body).json()
    with transaction() as session:
        rows = list(snapshot.read(Path(storage.shown(session.get_one(Snapshot, run["snapshot_id"]).path))))

    assert told["errors"] == []
    assert len(rows) == 60
    assert len({row.facts["annotator"] for row in rows}) == 2
    assert not {"Ann", "Bob"} & {row.facts["annotator"] for row in rows}
    known = body["dataset_id"].encode(), uuid.UUID(body["dataset_id"]).bytes  # which the manifest has
    tried = {blake2b(b"Ann", key=key, digest_size=size).hexdigest() for key in known for size in (6, 8)}
    assert not tried & {row.facts["annotator"] for row in rows}
    rows.sort(key=lambda row: row.id)
    for one, other in zip(rows[::2], rows[1::2], strict=True):
        assert one.responses == other.responses[::-1]
        assert one.split == other.split
    assert researcher.post("/api/v1/runs", json=body | {"policy": {}}).status_code == 422


def test_what_is_looked_at_are_facts_of_data() -> None:
    """A column that objectives read is one that snapshots have."""
    assert set(COLUMNS) <= set(DATA_FACTS) & set(snapshot.FACT_TYPES)


def words(dataset: Dataset) -> set[str]:
    """What stands for the annotators in a snapshot of now."""
    with transaction() as session:
        made = snapshots.freeze(session, session.get_one(Dataset, dataset.id), PER_LABEL, get_settings().snapshots)
        return {row.facts["annotator"] for row in snapshot.read(Path(storage.shown(made.path)))}


def test_a_person_keeps_a_word_that_only_the_instance_can_find(
    monkeypatch: pytest.MonkeyPatch, researcher: Client
) -> None:
    """The same in each snapshot of a dataset, also after a new key was put before the old one; another in another
    dataset, and under another key: who has the snapshot alone cannot try names."""
    dataset, other = judged("Ann"), judged("Eve")
    first = words(dataset)
    with transaction() as session:
        items = [item for item in loop.pairs(40) if item.prompt not in [one.prompt for one in loop.pairs(30)]]
        for item in items:
            item.labels = [LabelFacts({"strength": 1}, annotator="Ann")]
        Writer(session, session.get_one(Dataset, dataset.id)).add(items)
    old, new = (base64.b64encode(bytes([place] * 32)).decode() for place in (1, 2))

    assert words(dataset) == first
    assert not words(other) & first
    found = []
    for ring in (old, f"{new},{old}", new):
        monkeypatch.setattr(get_settings(), "secret_key", SecretStr(ring))
        found.append(words(dataset))
    assert found[0] == found[1]
    assert not found[0] & first
    assert not found[0] & found[2]


def test_rankings_without_an_order_stand_in_nobodys_way(researcher: Client, base: Checkpoint) -> None:
    """Freezing leaves them out, so neither pre-flight nor the form's picker refuses what the launch takes."""
    items = []
    for place, pair in enumerate(loop.pairs(60)):
        answers = [{"role": "assistant", "content": f"{word} {place}"} for word in ("good", "fair", "poor")]
        facts = {} if place % 3 == 0 else {"ranks": [1.0, 2.0, 3.0]}
        items.append(Item(pair.prompt, answers, facts=facts))  # type: ignore[arg-type]
    with transaction() as session:
        dataset = datasets.create(session, projects.default(session), "Partly ranked", Kind.ranked)
        Writer(session, dataset).add(items)
    body = loop.run_body(base, dataset, objective={"name": "pl_dpo"})

    told = researcher.post("/api/v1/runs/preflight", json=body).json()
    unfit = researcher.get("/api/v1/objectives/unfit", params={"dataset_id": str(dataset.id)}).json()
    launched = researcher.post("/api/v1/runs", json=body)

    assert told["errors"] == []
    assert "pl_dpo" not in unfit
    assert launched.status_code == 202
