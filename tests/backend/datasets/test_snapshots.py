"""POST /api/v1/datasets/{id}/snapshots: labels become chosen and rejected, frozen under a hash."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from alignment.formats import snapshot
from alignment.formats.preference import Policy
from backend import storage
from backend.datasets import snapshots
from backend.datasets.models import Dataset, Item, Snapshot
from backend.db import transaction
from backend.labels.models import Label, LabelSource
from backend.settings import get_settings
from tests.backend.datasets.conftest import Importer, lines, pair
from tests.conftest import Client

SOME = "00000000-0000-7000-8000-000000000000"
UNLABELLED = [{"prompt": f"Prompt {n}", "responses": [f"first {n}", f"second {n}"]} for n in range(40)]


def freeze(client: Client, dataset_id: str, **policy: Any) -> dict[str, Any]:
    answer = client.post(f"/api/v1/datasets/{dataset_id}/snapshots", json={"policy": policy})
    return dict(answer.json()) | {"status": answer.status_code}


def examples(snapshot_id: str) -> list[snapshot.Example]:
    with transaction() as session:
        folder = storage.local(session.get_one(Snapshot, uuid.UUID(snapshot_id)).path)
    assert snapshot.verify(folder)
    return list(snapshot.read(folder))


def judge(client: Client, item: dict[str, Any], value: dict[str, Any], version: int = 1) -> None:
    """What labelling leaves in the table."""
    with transaction() as session:
        found = session.get_one(Item, uuid.UUID(item["id"]))
        session.add(
            Label(
                project_id=found.project_id,
                item_id=found.id,
                dataset_id=found.dataset_id,
                annotator_id=client.user.id,
                source=LabelSource.person,
                value=value,
                version=version,
            )
        )


def items_of(client: Client, dataset_id: str) -> list[dict[str, Any]]:
    return list(client.get(f"/api/v1/datasets/{dataset_id}/items", params={"limit": 200}).json()["items"])


@pytest.mark.parametrize("path", ["/snapshots", f"/snapshots/{SOME}", f"/snapshots/{SOME}/labels"])
def test_who_may(anonymous: Client, annotator: Client, path: str) -> None:
    """Snapshots are for researchers."""
    assert anonymous.get(f"/api/v1{path}").status_code == 401
    assert annotator.get(f"/api/v1{path}").status_code == 403
    made = f"/api/v1/datasets/{SOME}/snapshots"
    assert anonymous.post(made, json={}).status_code == 401
    assert annotator.post(made, json={}).status_code == 403


def test_imported_choices_freeze(imported: Importer, researcher: Client) -> None:
    """Imported pairs become examples with the chosen response first; freezing again gives the same snapshot."""
    dataset_id = imported(lines([pair(n) for n in range(50)]))["dataset_id"]
    frozen = freeze(researcher, dataset_id)

    assert frozen["status"] == 201
    found = examples(frozen["id"])
    assert len(found) == 50
    assert all(example.responses[0]["content"].startswith("Hello") for example in found)
    assert freeze(researcher, dataset_id)["id"] == frozen["id"]
    listed = researcher.get("/api/v1/snapshots", params={"dataset_id": dataset_id}).json()["items"]
    assert [row["hash"] for row in listed] == [frozen["hash"]]
    labels = researcher.get(f"/api/v1/snapshots/{frozen['id']}/labels", params={"limit": 200}).json()["items"]
    assert len(labels) == 50


def test_two_at_once(imported: Importer, researcher: Client) -> None:
    """Two launches freeze one dataset at the same moment: both get the same snapshot."""
    dataset_id = imported(lines([pair(n) for n in range(20)]))["dataset_id"]
    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            dataset = session.get_one(Dataset, uuid.UUID(dataset_id))
            first = snapshots.freeze(session, dataset, Policy(), get_settings().snapshots)
            other = pool.submit(freeze, researcher, dataset_id)
            waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            deadline = time.monotonic() + 20
            while not session.scalar(waiting) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert session.scalar(waiting), "the second never came to its insert"
        second = other.result()

    assert (second["status"], second["id"]) == (201, str(first.id))
    labels = researcher.get(f"/api/v1/snapshots/{first.id}/labels", params={"limit": 200}).json()["items"]
    assert len(labels) == 20


def test_test_prompts_never_train(imported: Importer, researcher: Client) -> None:
    """A prompt's split in the snapshot is its split for life."""
    dataset_id = imported(lines([pair(n) for n in range(200)]))["dataset_id"]
    split = {item["id"]: item["split"] for item in items_of(researcher, dataset_id)}

    found = examples(freeze(researcher, dataset_id)["id"])
    assert {example.id: example.split for example in found} == split
    assert "test" in split.values()


def test_unlabelled_is_refused(imported: Importer, researcher: Client) -> None:
    """A dataset without labels says that it waits for some."""
    dataset_id = imported(lines(UNLABELLED))["dataset_id"]
    refused = freeze(researcher, dataset_id)

    assert (refused["status"], refused["field"]) == (422, "dataset_id")
    assert "No labelled pair yet" in refused["detail"]
    assert freeze(researcher, dataset_id, sources="everybody")["status"] == 422


def test_people_over_imports(imported: Importer, researcher: Client, admin: Client) -> None:
    """People decide where they judged; ties, both bad, skips and labels taken back are left out and counted."""
    dataset_id = imported(lines([pair(n) for n in range(60)]))["dataset_id"]
    items = [item for item in items_of(researcher, dataset_id) if item["split"] == "train"]
    judge(researcher, items[0], {"strength": -3})
    judge(researcher, items[1], {"strength": 0})
    judge(researcher, items[2], {"both_bad": True})
    judge(researcher, items[3], {"skip": "unsure"})
    judge(researcher, items[4], {"strength": -2})
    judge(researcher, items[4], {"retracted": True}, version=2)
    judge(researcher, items[5], {"strength": -1})
    judge(admin, items[5], {"strength": 2})

    frozen = freeze(researcher, dataset_id)
    by_id = {example.id: example for example in examples(frozen["id"])}
    assert by_id[items[0]["id"]].responses[0]["content"].startswith("Go away")
    assert by_id[items[0]["id"]].facts == {"votes": 1, "margin": 3.0}
    assert frozen["counts"]["left_out"] == {"tie": 2, "both_bad": 1}
    for place in (1, 2, 5):
        assert items[place]["id"] not in by_id
    for place in (3, 4):  # nobody's judgement stands, so the imported choice does
        assert by_id[items[place]["id"]].responses[0]["content"].startswith("Hello")
    assert len(examples(freeze(researcher, dataset_id, sources="people")["id"])) == 1


@pytest.mark.parametrize("format", ["native", "parquet", "trl"])
def test_exports_give_the_hash_back(imported: Importer, researcher: Client, admin: Client, format: str) -> None:
    """Native, Parquet and TRL exports, imported again, freeze to the same hash under the same policy."""
    rows = [pair(n, category="greeting", id=f"row-{n}", score_chosen=2, score_rejected=n / 7) for n in range(40)]
    system = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Ünïcode “quotes” 🙂?"}]
    rows += [pair(99, prompt=system, weight=0.5), pair(100, prompt="\r\n tabs\t and\u2028 separators ")]
    dataset_id = imported(lines(rows))["dataset_id"]
    for place, item in enumerate(items_of(researcher, dataset_id)[:12]):
        judge(researcher, item, {"strength": (-3, -1, 1, 2)[place % 4]})
        if place % 3:
            judge(admin, item, {"strength": (-2, 3)[place % 2]})
    frozen = freeze(researcher, dataset_id)

    content = researcher.get(f"/api/v1/datasets/{dataset_id}/export", params={"format": format}).content
    again = imported(content)
    assert again["rows_bad"] == 0, again["errors"]
    assert freeze(researcher, again["dataset_id"])["hash"] == frozen["hash"]
