"""Labels that programs send: checked against their items, stored once, all of a request or none of it."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, text

from alignment.formats.preference import Policy
from backend.accounts.models import Role
from backend.datasets import reading, snapshots
from backend.datasets.models import Dataset, Item
from backend.db import transaction
from backend.labels.models import Label
from backend.projects.models import Project
from tests.backend.labels.conftest import MakePairs
from tests.conftest import Client


@pytest.fixture
def dataset(make_pairs: MakePairs) -> uuid.UUID:
    """Three pairs with an imported label each."""
    return make_pairs(3)


def items(dataset: uuid.UUID) -> list[str]:
    with transaction() as session:
        query = select(Item.id).where(Item.dataset_id == dataset).order_by(Item.position)
        return [str(id) for id in session.scalars(query)]


def label(item: str, value: dict[str, Any] | None = None, annotator: str = "judge-1", **fields: Any) -> dict[str, Any]:
    said = {"client_id": str(uuid.uuid4()), "item_id": item, "annotator": annotator, "value": value or {"strength": -2}}
    return said | fields


def send(client: Client, dataset: uuid.UUID, *labels: dict[str, Any], source: str = "judge") -> Any:
    return client.post(f"/api/v1/datasets/{dataset}/labels", json={"source": source, "labels": list(labels)})


def stored(dataset: uuid.UUID) -> list[Label]:
    with transaction() as session:
        own = Label.dataset_id == dataset, Label.client_id.is_not(None)
        return list(session.scalars(select(Label).where(*own).order_by(Label.id)))


def test_signed_out(anonymous: Client, dataset: uuid.UUID) -> None:
    """Nobody labels without a session."""
    assert send(anonymous, dataset, label(items(dataset)[0])).status_code == 401


def test_who_may(annotator: Client, make_client: Callable[..., Client], dataset: uuid.UUID) -> None:
    """An annotator labels by cards alone, and another project's researcher finds no such dataset."""
    with transaction() as session:
        other = Project(name="other")
        session.add(other)
    body = label(items(dataset)[0])
    assert send(annotator, dataset, body).status_code == 403
    assert send(make_client(Role.researcher, project=other), dataset, body).status_code == 404


def test_labels_are_stored_with_who_judged(researcher: Client, dataset: uuid.UUID) -> None:
    """Value, ratings, reason and the judge's name are read back where data are frozen, and are counted."""
    first, second, _ = items(dataset)
    full = label(first, aspects={"clear": [1, 4]}, rationale="Says what to do.", seconds=1.5)
    answer = send(researcher, dataset, full, label(second, {"skip": "off topic"}))
    assert answer.status_code == 201, answer.text
    assert [one["client_id"] for one in answer.json()["labels"]] == [
        one.client_id and str(one.client_id) for one in stored(dataset)
    ]
    with transaction() as session:
        judged = next(reading.walk(session, dataset)).item.labels[-1]
        assert (judged.source, judged.annotator, judged.value) == ("judge", "judge-1", {"strength": -2})
        assert (judged.aspects, judged.rationale, judged.seconds) == ({"clear": [1, 4]}, "Says what to do.", 1.5)
        counted = session.execute(text("SELECT sum(labels) FROM tallies WHERE source = 'judge'")).scalar()
    assert counted == 2


def test_the_newest_of_an_annotator_counts(researcher: Client, dataset: uuid.UUID) -> None:
    """A judge that changes its mind is one vote, and another judge is another."""
    first = items(dataset)[0]
    for value, name in (({"strength": -2}, "a"), ({"strength": 1}, "a"), ({"strength": 3}, "b")):
        assert send(researcher, dataset, label(first, value, name)).status_code == 201
    with transaction() as session:
        labels = next(reading.walk(session, dataset)).item.labels
        policy = Policy(sources="judges")
        decided = snapshots.decisions_on(next(reading.walk(session, dataset)).item, policy)
    assert [one.value["strength"] for one in labels if one.source == "judge"] == [1, 3]
    assert not isinstance(decided, str)
    assert decided[0].facts["votes"] == 2


def test_sent_again_is_stored_once(researcher: Client, dataset: uuid.UUID) -> None:
    """The same request twice, and the same label twice in one, give the same ids."""
    one, two = (label(item) for item in items(dataset)[:2])
    first = send(researcher, dataset, one, two).json()
    again = send(researcher, dataset, one, two, two).json()
    assert [row["id"] for row in again["labels"]] == [row["id"] for row in (*first["labels"], first["labels"][1])]
    assert (first["known"], again["known"]) == (0, 3)
    assert len(stored(dataset)) == 2


def test_another_body_under_an_id_is_refused(researcher: Client, dataset: uuid.UUID) -> None:
    """What was stored stands, and nothing of the request that contradicts it is stored."""
    one, two = (label(item) for item in items(dataset)[:2])
    send(researcher, dataset, one)
    refused = send(researcher, dataset, two, one | {"value": {"strength": 3}})
    assert (refused.status_code, refused.json()["field"]) == (409, "labels.1.client_id")
    assert send(researcher, dataset, one, source="import").status_code == 409
    assert len(stored(dataset)) == 1


def test_an_id_of_another_dataset_is_refused(
    researcher: Client,
    make_pairs: MakePairs,
    dataset: uuid.UUID,
) -> None:
    """Ids are one for the whole instance: a stranger's is not answered with what it holds."""
    other = make_pairs(1)
    one = label(items(other)[0])
    assert send(researcher, other, one).status_code == 201
    refused = send(researcher, dataset, one | {"item_id": items(dataset)[0]})
    assert refused.status_code == 409
    assert "labels" not in refused.json()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"value": {"strength": 4}}, "labels.1.value"),
        ({"value": {"strength": 1.5}}, "labels.1.value"),
        ({"value": {"strength": True}}, "labels.1.value"),
        ({"value": {"thumb": True}}, "labels.1.value"),
        ({"value": {"ranking": [[0], [0]]}}, "labels.1.value"),
        ({"value": {"strength": 1, "annotator": "somebody else"}}, "labels.1.value"),
        ({"value": {"retracted": True}}, "labels.1.value"),
        ({"value": {}}, "labels.1.value"),
        ({"aspects": {"clear": [1]}}, "labels.1.aspects.clear"),
        ({"aspects": {"clear": [1, "x"]}}, "labels.1.aspects.clear"),
        ({"item_id": str(uuid.UUID(int=7))}, "labels.1.item_id"),
        ({"annotator": "  "}, "labels.1.annotator"),
        ({"annotator": "x" * 201}, "labels.1.annotator"),
        ({"seconds": -1}, "labels.1.seconds"),
        ({"client_id": "7"}, "labels.1.client_id"),
    ],
    ids=str,
)
def test_one_bad_label_refuses_all(researcher: Client, dataset: uuid.UUID, change: dict[str, Any], field: str) -> None:
    """What is no label of its item is refused at its place, and nothing of the request is stored."""
    first, second, _ = items(dataset)
    refused = send(researcher, dataset, label(first), label(second) | change)
    assert (refused.status_code, refused.json()["field"]) == (422, field), refused.text
    assert stored(dataset) == []


def test_withdrawn_items_take_no_labels(researcher: Client, dataset: uuid.UUID) -> None:
    """A label of an item that was taken out is refused in words."""
    first = items(dataset)[0]
    with transaction() as session:
        session.execute(text("UPDATE items SET withdrawn_at = now() WHERE id = :id"), {"id": first})
    refused = send(researcher, dataset, label(first))
    assert (refused.status_code, refused.json()["title"]) == (409, "Item withdrawn")


def test_no_more_than_a_batch(researcher: Client, dataset: uuid.UUID) -> None:
    """A request holds 1 to 500 labels."""
    first = items(dataset)[0]
    assert send(researcher, dataset).status_code == 422
    assert send(researcher, dataset, *(label(first) for _ in range(501))).status_code == 422


def test_rankings_and_thumbs(researcher: Client, dataset: uuid.UUID) -> None:
    """A ranking fits as many responses as there are, a thumb a single one, and each is stored as its kind."""
    with transaction() as session:
        found = session.get_one(Dataset, dataset)
        for position, texts in ((10, "abc"), (11, "a")):
            responses = [{"role": "assistant", "content": one} for one in texts]
            words = {"split": "train", "prompt_hash": "p", "content_hash": f"x{position}"}
            session.add(
                Item(
                    project_id=found.project_id,
                    dataset_id=dataset,
                    position=position,
                    prompt=[],
                    responses=responses,
                    **words,
                )
            )
    *_, ranked, single = items(dataset)
    answer = send(researcher, dataset, label(ranked, {"ranking": [[1], [0, 2]]}), label(single, {"thumb": False}))
    assert answer.status_code == 201, answer.text
    assert [one.kind for one in stored(dataset)] == ["ranking", "thumb"]
