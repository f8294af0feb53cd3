"""Several tasks about one dataset, and settling: what somebody says in one leaves alone what they said in another."""

import uuid
from typing import Any

import pytest
from sqlalchemy import select

from backend.datasets import reading
from backend.datasets.models import Item
from backend.db import transaction
from backend.labels import tallies
from backend.labels.models import Label
from backend.labels.queries import current_labels
from tests.backend.labels.conftest import MakePairs, send
from tests.backend.tasks.conftest import API, deal, make_task, progress
from tests.conftest import Client


def counts(client: Client, dataset: uuid.UUID) -> list[dict[str, Any]]:
    """What counts of what the client said of the first item, which is the same for files and for lists."""
    with transaction() as session:
        (read, _, _) = next(iter(reading.walk(session, dataset)))
        said = [dict(label.value) for label in read.labels if label.annotator == str(client.user.id)]
        found = session.scalars(current_labels(dataset)).all()
        mine = [label for label in found if label.annotator_id == client.user.id and str(label.item_id) == read.id]
        assert sorted(map(str, said)) == sorted(str(label.value) for label in mine)
        return said


def strength(card: dict[str, Any], value: int) -> int:
    """What is stored of it, in the order of the item."""
    return value if card["responses"][0]["text"].startswith("good") else -value


def kept(dataset: uuid.UUID, person: Client) -> Any:
    """All that is kept of a dataset, as pages read it."""
    with transaction() as session:
        judged = session.scalars(select(Item.judged).where(Item.dataset_id == dataset).order_by(Item.position)).all()
        return judged, tallies.counts(session, [dataset], person.user.id)[dataset]


def true(dataset: uuid.UUID, person: Client) -> Any:
    """The same, counted anew."""
    with transaction() as session:
        tallies.recount(session, [dataset])
    return kept(dataset, person)


@pytest.mark.parametrize("taken_back", [False, True])
def test_a_skip_elsewhere_leaves_a_judgement(
    researcher: Client, annotator: Client, make_pairs: MakePairs, taken_back: bool
) -> None:
    """Judged in one task, then skipped in another, or answered there and taken back: the judgement counts."""
    dataset = make_pairs(1)
    one, other = make_task(researcher, dataset), make_task(researcher, dataset)
    (card,), (again,) = deal(annotator, one), deal(annotator, other)
    send(annotator, card, {"strength": 3})
    label = send(annotator, again, {"strength": -1} if taken_back else {"skip": "unsure"})["label"]
    if taken_back:
        for _ in range(2):
            assert annotator.post(f"{API}/labels/{label['id']}/undo").status_code == 200

    assert counts(annotator, dataset) == [{"strength": strength(card, 3)}]
    assert progress(annotator, one)["by_you"] == 1
    assert progress(annotator, other)["by_you"] == 0
    assert kept(dataset, annotator) == true(dataset, annotator) == ([True], tallies.Counts(1, 1, 1))
    named = researcher.get(f"{API}/datasets/{dataset}/labels").json()["items"]
    assert [row["value"] for row in named if row["annotator"]] == counts(annotator, dataset)
    found = researcher.get(f"{API}/datasets/{dataset}/agreement").json()
    assert (found["labels"], found["items"]) == (1, 1)


def test_one_person_has_one_vote(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """Of judgements in several tasks the newest counts; whatever its task, each may be taken back, and then the other
    counts; a change in one task is a change of that one alone."""
    dataset = make_pairs(1)
    one, other = make_task(researcher, dataset), make_task(researcher, dataset)
    (card,), (again,) = deal(annotator, one), deal(annotator, other)
    first = send(annotator, card, {"strength": 3})["label"]
    second = send(annotator, again, {"strength": -1})["label"]
    assert counts(annotator, dataset) == [{"strength": strength(card, -1)}]
    rows = researcher.get(f"{API}/tasks/{one['id']}/labels").json()["items"]
    assert [(row["id"], row["counts"]) for row in rows] == [(first["id"], True)]

    assert annotator.post(f"{API}/labels/{first['id']}/undo").status_code == 200
    assert counts(annotator, dataset) == [{"strength": strength(card, -1)}]
    send(annotator, card, {"strength": 2})
    assert counts(annotator, dataset) == [{"strength": strength(card, 2)}]
    stale = annotator.post(f"{API}/labels/{first['id']}/undo")
    assert (stale.status_code, stale.json()["type"]) == (409, "/problems/ChangedSince")
    assert annotator.post(f"{API}/labels/{second['id']}/undo").status_code == 200
    assert counts(annotator, dataset) == [{"strength": strength(card, 2)}]
    assert kept(dataset, annotator) == true(dataset, annotator) == ([True], tallies.Counts(1, 1, 1))
    with transaction() as session:
        mine = select(Label.version).where(Label.annotator_id == annotator.user.id).order_by(Label.id)
        assert session.scalars(mine).all() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("standing", [False, True])
def test_what_is_settled_stays_settled(researcher: Client, make_pairs: MakePairs, standing: bool) -> None:
    """Who settled an item and then judges or skips it in a task, or where nobody made one, has said two things, and
    each can be taken back."""
    dataset = make_pairs(1)
    if standing:
        (card,) = researcher.post(f"{API}/datasets/{dataset}/cards", json={}).json()["cards"]
    else:
        (card,) = deal(researcher, make_task(researcher, dataset))
    settled = {"client_id": str(uuid.uuid4()), "value": {"strength": 2}}
    answer = researcher.post(f"{API}/items/{card['item_id']}/adjudication", json=settled)
    assert answer.status_code == 201, answer.text
    label = send(researcher, card, {"strength": -1})["label"]

    both = [{"strength": strength(card, 2)}, {"strength": strength(card, -1)}]
    assert counts(researcher, dataset) == both
    assert researcher.post(f"{API}/labels/{label['id']}/undo").status_code == 200
    assert counts(researcher, dataset) == both[:1]
    send(researcher, card, {"skip": "unsure"})
    assert counts(researcher, dataset) == [both[0], {"skip": "unsure"}]
    assert kept(dataset, researcher) == true(dataset, researcher) == ([True], tallies.Counts(1, 1, 1))
    assert researcher.post(f"{API}/labels/{answer.json()['label']['id']}/undo").status_code == 200
    assert counts(researcher, dataset) == [{"skip": "unsure"}]
    assert kept(dataset, researcher) == true(dataset, researcher) == ([False], tallies.Counts(1, 0, 0))


def test_settling_makes_no_task(researcher: Client, make_pairs: MakePairs) -> None:
    """What settled an item answers no task: taken back, once or twice, none is there that nobody made."""
    dataset = make_pairs(1)
    made = make_task(researcher, dataset)
    (card,) = deal(researcher, made)
    settled = {"client_id": str(uuid.uuid4()), "value": {"strength": 2}}
    label = researcher.post(f"{API}/items/{card['item_id']}/adjudication", json=settled).json()["label"]
    for _ in range(2):
        undone = researcher.post(f"{API}/labels/{label['id']}/undo")
        assert (undone.status_code, undone.json()) == (200, {"card": None, "progress": None})

    assert counts(researcher, dataset) == []
    assert [task["id"] for task in researcher.get(f"{API}/tasks").json()["items"]] == [made["id"]]
