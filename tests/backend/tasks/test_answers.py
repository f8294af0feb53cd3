"""Answers to every kind of question: stored in the item's order, refused when they fit no choice; edits and aspects."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from backend.accounts.models import Role
from backend.datasets.models import Item, Kind
from backend.db import transaction
from backend.labels.cards import shown_order
from backend.labels.models import Label
from tests.backend.labels.conftest import MakePairs, body, send, stored
from tests.backend.tasks.conftest import API, deal, make_task, progress
from tests.conftest import Client

MakeClient = Callable[..., Client]
RATED = {"aspects": [{"name": "helpful", "title": "Helpful", "low": 1, "high": 5}]}


def say(client: Client, card: dict[str, Any], value: dict[str, Any], **fields: Any) -> Any:
    return client.post(f"{API}/items/{card['item_id']}/labels", json=body(card, value, **fields))


@pytest.fixture
def make_answers(make_pairs: MakePairs) -> Callable[[int, Kind], uuid.UUID]:
    """Makes a dataset whose one item has so many responses, "answer 0" and on."""

    def make(count: int, kind: Kind) -> uuid.UUID:
        dataset = make_pairs(1, kind=kind)
        with transaction() as session:
            responses = [{"role": "assistant", "content": f"answer {place}"} for place in range(count)]
            session.execute(update(Item).where(Item.dataset_id == dataset).values(responses=responses))
        return dataset

    return make


def test_ranking(researcher: Client, annotator: Client, make_answers: Callable[[int, Kind], uuid.UUID]) -> None:
    """A ranking of what is shown is stored as a ranking of what there is; whoever made it sees it as they did."""
    task = make_task(researcher, make_answers(4, Kind.ranked), question={"kind": "ranking", **RATED})
    (card,) = deal(annotator, task)
    texts = [response["text"] for response in card["responses"]]
    ranking, ratings = [[2], [0, 3], [1]], {"helpful": [1, 2, 3, 4.5]}
    sent = say(annotator, card, {"ranking": ranking}, aspects=ratings).json()["label"]
    (label,) = stored(card)

    assert card["kind"] == label.kind == "ranking"
    assert sorted(texts) == [f"answer {place}" for place in range(4)]
    named = [{int(texts[place][-1]) for place in group} for group in ranking]
    assert [set(group) for group in label.value["ranking"]] == named
    assert label.aspects == {"helpful": [ratings["helpful"][texts.index(f"answer {place}")] for place in range(4)]}
    assert sent["aspects"] == ratings
    assert [set(group) for group in sent["value"]["ranking"]] == [set(group) for group in ranking]


@pytest.mark.parametrize(
    "ranking", [[[0], [1], [2]], [[0, 0], [1], [2], [3]], [[0], [1], [2], [4]], [[0, 1, 2, 3], [0]], [[0], [1, 2]]]
)
def test_wrong_rankings(
    researcher: Client, annotator: Client, make_answers: Callable[[int, Kind], uuid.UUID], ranking: list[list[int]]
) -> None:
    """A ranking names every response once."""
    task = make_task(researcher, make_answers(4, Kind.ranked), question={"kind": "ranking"})
    (card,) = deal(annotator, task)
    refused = say(annotator, card, {"ranking": ranking})

    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/UnknownChoice")
    assert stored(card) == []


def test_orders_differ_between_people(make_answers: Callable[[int, Kind], uuid.UUID]) -> None:
    """Every person sees three responses or more in an order of their own, the same every time."""
    one, two = uuid.UUID(int=1), uuid.UUID(int=2)
    orders = {tuple(shown_order(one, two, uuid.UUID(int=person), 3)) for person in range(60)}

    assert len(orders) == 6
    assert shown_order(one, two, one, 5) == shown_order(one, two, one, 5)


def test_thumbs(researcher: Client, annotator: Client, make_answers: Callable[[int, Kind], uuid.UUID]) -> None:
    """One response gets a thumb, and no strength."""
    task = make_task(researcher, make_answers(1, Kind.demonstrations), question={"kind": "thumb"})
    (card,) = deal(annotator, task)

    assert len(card["responses"]) == 1
    assert say(annotator, card, {"strength": 1}).json()["type"] == "/problems/UnknownChoice"
    assert say(annotator, card, {"thumb": "yes"}).status_code == 422
    assert say(annotator, card, {"thumb": False}).status_code == 201
    assert stored(card)[0].value == {"thumb": False}


@pytest.mark.parametrize(
    ("question", "said", "problem"),
    [
        ({"scale": "preference"}, {"value": {"strength": 2}}, "UnknownChoice"),
        ({"both_bad": False}, {"value": {"both_bad": True}}, "UnknownChoice"),
        ({}, {"value": {"ranking": [[0], [1]]}}, "UnknownChoice"),
        ({}, {"value": {"thumb": True}}, "UnknownChoice"),
        ({"rationale": "required"}, {}, "RationaleMissing"),
        ({"rationale": "off"}, {"rationale": "so"}, "NotAsked"),
        ({}, {"edit": {"response": 0, "text": "x"}}, "NotAsked"),
        ({"edits": True}, {"edit": {"response": 2, "text": "x"}}, "UnknownChoice"),
        (RATED, {}, "WrongRatings"),
        (RATED, {"aspects": {"helpful": [1]}}, "WrongRatings"),
        (RATED, {"aspects": {"helpful": [1, 6]}}, "WrongRatings"),
        (RATED, {"aspects": {"helpful": [1, 2], "nice": [1, 2]}}, "WrongRatings"),
        ({}, {"aspects": {"nice": [1, 2]}}, "WrongRatings"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unknown_choices(
    researcher: Client,
    annotator: Client,
    make_pairs: MakePairs,
    question: dict[str, Any],
    said: dict[str, Any],
    problem: str,
) -> None:
    """What the question does not offer is refused by its own name, stores nothing, and the card may be answered yet."""
    task = make_task(researcher, make_pairs(1), question=question)
    (card,) = deal(annotator, task)
    refused = annotator.post(f"{API}/items/{card['item_id']}/labels", json=body(card) | said)

    assert (refused.status_code, refused.json()["type"]) == (422, f"/problems/{problem}"), refused.text
    assert stored(card) == []
    assert send(annotator, card, {"skip": "none fits"})["label"]["value"] == {"skip": "none fits"}


def test_somebody_elses_lease(researcher: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """A lease of another person has an error of its own, and stores nothing."""
    task = make_task(researcher, make_pairs(1), overlap=2)
    one, two = make_client(Role.annotator), make_client(Role.annotator)
    (card,) = deal(one, task)
    refused = say(two, card, {"strength": 1})

    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/SomebodyElses")
    assert stored(card) == []


def test_edit(researcher: Client, annotator: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """An edited response stands beside the one that was edited in a new item, with a label that it is better, which is
    all that is wanted of it; sent twice it is one; undone, the label is taken back and the item withdrawn; done again,
    it is back."""
    dataset = make_pairs(2)
    task = make_task(researcher, dataset, question={"edits": True}, overlap=2)
    (card,) = deal(annotator, task)
    edited = body(card, {"both_bad": True}, edit={"response": 1, "text": "What it should have said."})
    answers = [annotator.post(f"{API}/items/{card['item_id']}/labels", json=edited) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    other = {**edited, "edit": {"response": 0, "text": "What it should have said."}}
    again = annotator.post(f"{API}/items/{card['item_id']}/labels", json=other)
    assert (again.status_code, again.json()["type"]) == (409, "/problems/ClientIdReused")

    with transaction() as session:
        made = session.scalars(select(Item).where(Item.dataset_id == dataset, Item.position == 2)).one()
        (label,) = session.scalars(select(Label).where(Label.item_id == made.id))
    assert [response["content"] for response in made.responses] == [
        "What it should have said.",
        card["responses"][1]["text"],
    ]
    assert (label.value, label.annotator_id, label.surplus) == ({"strength": 2}, annotator.user.id, False)
    assert made.facts["meta"]["edit_of"]["item_id"] == card["item_id"]
    theirs = [one["item_id"] for one in deal(make_client(Role.annotator), task, 5)]
    assert str(made.id) not in theirs
    assert str(made.id) not in [one["item_id"] for one in deal(annotator, task, 5)]
    assert progress(annotator, task)["total"] == 3
    assert researcher.patch(f"{API}/tasks/{task['id']}", json={"overlap": 3}).json()["progress"]["wanted"] == 7
    researcher.patch(f"{API}/tasks/{task['id']}", json={"overlap": 2})

    undone = annotator.post(f"{API}/labels/{answers[0].json()['label']['id']}/undo").json()
    assert progress(annotator, task)["total"] == 2
    send(annotator, undone["card"], {"both_bad": True}, edit={"response": 1, "text": "What it should have said."})
    assert progress(annotator, task) == {
        "total": 3,
        "done": 1,
        "labels": 2,
        "wanted": 5,
        "by_you": 2,
        "skipped": 0,
        "left": 1,
    }
    nothing = body(card, {"both_bad": True}, edit={"response": 0, "text": card["responses"][0]["text"]})
    refused = annotator.post(f"{API}/items/{card['item_id']}/labels", json=nothing)
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/NothingEdited")


@pytest.mark.parametrize("value", [{}, {"skip": "x"}, {"strength": 9}, {"thumb": True}, {"ranking": [[0]]}, {"x": 1}])
def test_wrong_known_answers(researcher: Client, make_pairs: MakePairs, value: dict[str, Any]) -> None:
    """A known answer is one that a question about the item could have."""
    (card,) = deal(researcher, make_task(researcher, make_pairs(1)))
    refused = researcher.put(f"{API}/items/{card['item_id']}/gold", json={"value": value})

    assert (refused.status_code, refused.json()["field"]) == (422, "value")


def test_known_answers(researcher: Client, make_pairs: MakePairs) -> None:
    """A known answer is put, changed, listed and removed."""
    dataset = make_pairs(2)
    (card,) = deal(researcher, make_task(researcher, dataset))
    address = f"{API}/items/{card['item_id']}/gold"

    assert researcher.put(address, json={"value": {"strength": 1}, "note": "clear"}).status_code == 200
    assert researcher.put(address, json={"value": {"both_bad": True}}).json()["note"] == ""
    (listed,) = researcher.get(f"{API}/datasets/{dataset}/golds").json()["items"]
    assert (listed["item_id"], listed["position"], listed["value"]) == (card["item_id"], 0, {"both_bad": True})
    assert researcher.delete(address).status_code == 204
    assert researcher.get(f"{API}/datasets/{dataset}/golds").json()["items"] == []
