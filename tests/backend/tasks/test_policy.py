"""The labels of one task: snapshots, previews and exports that leave out what people said in others."""

import uuid
from typing import Any

import orjson
import pytest
from sqlalchemy import delete

from backend.db import transaction
from backend.tasks.models import Task
from tests.backend.labels.conftest import MakePairs, send
from tests.backend.tasks.conftest import API, deal, make_task
from tests.backend.tasks.test_several import strength
from tests.conftest import Client

PAIRS = 3


@pytest.fixture
def asked(researcher: Client, annotator: Client, make_pairs: MakePairs) -> tuple[uuid.UUID, str, str]:
    """A dataset whose imports prefer the good side, and two tasks with guidelines of their own: the annotator preferred
    the good side of all in the first, then, in the second, the bad side of two."""
    dataset = make_pairs(PAIRS)
    first = make_task(researcher, dataset, name="Helpful", guidelines="Which helps more?")
    second = make_task(researcher, dataset, name="Safe", guidelines="Which is safer?")
    for card in deal(annotator, first, PAIRS):
        send(annotator, card, {"strength": strength(card, 3)})
    for card in deal(annotator, second, PAIRS - 1):
        send(annotator, card, {"strength": strength(card, -2)})
    return dataset, first["id"], second["id"]


def freeze(client: Client, dataset: uuid.UUID, **policy: Any) -> dict[str, Any]:
    answer = client.post(f"{API}/datasets/{dataset}/snapshots", json={"policy": policy})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def preview(client: Client, dataset: uuid.UUID, **policy: Any) -> dict[str, Any]:
    answer = client.post(f"{API}/datasets/{dataset}/snapshots/preview", json={"policy": policy})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def behind(client: Client, snapshot: dict[str, Any]) -> list[int]:
    """The strengths of people's labels that decided a snapshot, in item order."""
    rows = client.get(f"{API}/snapshots/{snapshot['id']}/labels", params={"limit": 100}).json()["items"]
    return sorted(row["value"]["strength"] for row in rows if row["source"] == "person")


def exported(client: Client, dataset: uuid.UUID, **asked: Any) -> list[dict[str, Any]]:
    answer = client.get(f"{API}/datasets/{dataset}/export", params=asked)
    assert answer.status_code == 200, answer.text
    return [orjson.loads(line) for line in answer.content.splitlines()]


def test_each_question_by_itself(researcher: Client, asked: tuple[uuid.UUID, str, str]) -> None:
    """An answer to one task counts whatever its person said later in another; what neither asked for fills in, unless
    the policy leaves imports out; the snapshot says which task it is of."""
    dataset, first, second = asked
    helpful, safe, mixed = (freeze(researcher, dataset, **chosen) for chosen in ({"task": first}, {"task": second}, {}))
    assert behind(researcher, helpful) == [3, 3, 3]
    assert behind(researcher, safe) == [-2, -2]
    assert behind(researcher, mixed) == [-2, -2, 3]
    assert safe["counts"]["train"] == PAIRS
    assert freeze(researcher, dataset, task=second, sources="people")["counts"]["train"] == PAIRS - 1
    assert safe["policy"]["task"] == second
    assert "of tasks “Safe” alone" in safe["policy_words"]
    assert "of tasks" not in mixed["policy_words"]
    assert freeze(researcher, dataset, task=second)["id"] == safe["id"]

    settled = {"client_id": str(uuid.uuid4()), "value": {"strength": 1}}
    item = researcher.get(f"{API}/datasets/{dataset}/items").json()["items"][0]["id"]
    assert researcher.post(f"{API}/items/{item}/adjudication", json=settled).status_code == 201
    assert behind(researcher, freeze(researcher, dataset, task=first)) == [3, 3, 3]
    assert "1 of 3 items are decided by labels that no task asked for" in str(preview(researcher, dataset, task=first))


def test_the_preview_says_what_mixes(researcher: Client, asked: tuple[uuid.UUID, str, str]) -> None:
    """Two questions in one heap, with what to do about it; nothing of that where one is chosen, or no person counts."""
    dataset, _, second = asked
    said = preview(researcher, dataset)["sentences"]
    assert said[0].startswith("“Helpful” and “Safe” ask different questions")
    assert "Choose one under “Labels of the task”." in said[0]
    assert not any("different questions" in one for one in preview(researcher, dataset, sources="imports")["sentences"])
    alone = preview(researcher, dataset, task=second)
    assert alone["sentences"][0].startswith("1 of 3 items are decided by labels that no task asked for")
    assert preview(researcher, dataset, task=second, sources="people")["examples"] == {"train": 2}


def test_a_run_is_told_what_mixes(researcher: Client, asked: tuple[uuid.UUID, str, str]) -> None:
    """The pre-flight of a run says it at the field, with what to do; of several data that is to freeze them first."""
    dataset, _, second = asked
    run = {"name": "R", "checkpoint_id": str(uuid.uuid4()), "objective": {"name": "dpo"}}

    def doubts(**chosen: Any) -> list[dict[str, Any]]:
        told = researcher.post(f"{API}/runs/preflight", json=run | chosen).json()["warnings"]
        return [one for one in told if one["field"] == "policy.task"]

    (doubt,) = doubts(dataset_id=str(dataset))
    assert doubt["detail"].startswith("“Helpful” and “Safe” ask different questions")
    assert doubt["remedy"] == "Choose one under “Labels of the task”."
    assert doubts(dataset_id=str(dataset), policy={"task": second}) == []
    frozen = freeze(researcher, dataset, task=second)["id"]
    (doubt,) = doubts(mixture=[{"dataset_id": str(dataset)}, {"snapshot_id": frozen}])
    assert doubt["remedy"].startswith("Freeze each dataset")


def test_files_of_one_task(researcher: Client, asked: tuple[uuid.UUID, str, str]) -> None:
    """Decided rows follow its labels; rows that hold every label hold its own."""
    dataset, first, second = asked
    chosen = [
        row["chosen"][-1]["content"].split()[0] for row in exported(researcher, dataset, format="trl", task=second)
    ]
    assert sorted(chosen) == ["bad", "bad", "good"]
    rows = exported(researcher, dataset, format="native", task=first)
    assert [[label["value"]["strength"] for label in row["labels"] if label["source"] == "person"] for row in rows] == [
        [3]
    ] * PAIRS


def test_a_task_of_something_else(researcher: Client, asked: tuple[uuid.UUID, str, str], make_pairs: MakePairs) -> None:
    """Another dataset's, nobody's and one that is gone are refused by the field; a snapshot outlives its task."""
    dataset, first, second = asked
    foreign = make_task(researcher, make_pairs(1))["id"]
    frozen = freeze(researcher, dataset, task=first)
    with transaction() as session:
        session.execute(delete(Task).where(Task.id == uuid.UUID(first)))
    for task in (foreign, str(uuid.uuid4()), first):
        for path in ("snapshots", "snapshots/preview"):
            refused = researcher.post(f"{API}/datasets/{dataset}/{path}", json={"policy": {"task": task}})
            assert (refused.status_code, refused.json()["field"]) == (422, "policy.task")
        for path in ("export", "export/losses"):
            refused = researcher.get(f"{API}/datasets/{dataset}/{path}", params={"format": "trl", "task": task})
            assert (refused.status_code, refused.json()["field"]) == (422, "task")
    for nonsense in ("x", 7, [second], {"id": second}, "' OR true --"):
        refused = researcher.post(f"{API}/datasets/{dataset}/snapshots", json={"policy": {"task": nonsense}})
        assert refused.status_code == 422
    assert "one that is gone" in researcher.get(f"{API}/snapshots/{frozen['id']}").json()["policy_words"]
