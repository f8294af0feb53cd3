"""Edits that make what the dataset holds already: nobody's decision about that is undone by them."""

import uuid
from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from backend.accounts.models import Role
from backend.datasets.models import Item
from backend.db import transaction
from backend.items.models import Withdrawal
from backend.labels import tallies
from backend.labels.models import Label
from tests.backend.labels.conftest import MakePairs, body, send, stored
from tests.backend.tasks.conftest import API, deal, make_task, progress
from tests.conftest import Client

MakeClient = Callable[..., Client]
TEXT = "What it should have said."


def edit(client: Client, card: dict[str, Any], item: dict[str, Any] | None = None) -> Any:
    """Judge the card with an edit of the response that says "bad"."""
    bad = [one["text"].startswith("bad") for one in card["responses"]].index(True)
    said = body(item or card, {"strength": 1}, edit={"response": bad, "text": TEXT})
    return client.post(f"{API}/items/{card['item_id']}/labels", json=said)


def made_in(dataset: uuid.UUID, position: int = 1) -> Item:
    with transaction() as session:
        return session.scalars(select(Item).where(Item.dataset_id == dataset, Item.position == position)).one()


def undo(client: Client, answer: Any) -> Any:
    return client.post(f"{API}/labels/{answer.json()['label']['id']}/undo")


def test_what_a_lead_withdrew_stays_so(researcher: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """An edit that makes a pair that a lead withdrew is refused with a name, and stores nothing; one that its own
    undo withdrew comes back, both told in the item's history."""
    dataset = make_pairs(1)
    task = make_task(researcher, dataset, question={"edits": True}, overlap=3)
    one, two = make_client(Role.annotator), make_client(Role.annotator)
    (card,) = deal(one, task)
    first = edit(one, card)
    assert undo(one, first).status_code == 200
    assert made_in(dataset).withdrawn_at is not None
    edit(one, card)
    item = made_in(dataset)
    assert item.withdrawn_at is None

    assert researcher.post(f"{API}/items/{item.id}/withdraw", json={"reason": "Wrong"}).status_code == 200
    (theirs,) = deal(two, task)
    refused = edit(two, theirs)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/Withdrawn")
    assert [label.annotator_id for label in stored(card)] == [one.user.id] * 3
    assert made_in(dataset).withdrawn_at is not None
    with transaction() as session:
        told = session.execute(select(Withdrawal.restored, Withdrawal.created_by).order_by(Withdrawal.id)).all()
    assert told == [(False, one.user.id), (True, one.user.id), (False, researcher.user.id)]


def test_what_was_there_before_stays(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """An edit that makes a pair that was imported, taken back, leaves that pair in the labelling."""
    dataset = make_pairs(1)
    task = make_task(researcher, dataset, question={"edits": True}, overlap=3)
    (card,) = deal(annotator, task)
    undo(annotator, edit(annotator, card))
    with transaction() as session:
        item = session.get_one(Item, made_in(dataset).id)
        item.facts, item.withdrawn_at = {}, None

    assert undo(annotator, edit(annotator, card)).status_code == 200
    assert made_in(dataset).withdrawn_at is None
    with transaction() as session:
        newest = select(Label.value).where(Label.item_id == made_in(dataset).id).order_by(Label.id.desc()).limit(1)
        assert session.scalar(newest) == {"retracted": True}


def test_an_edit_is_asked_of_nobody_again(researcher: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """The pair that an edit makes has its author's label: neither the task nor one that was there before asks for more,
    and both are done with it, counted anew, too; a task made afterwards asks about it as about any other."""
    dataset = make_pairs(1)
    before = make_task(researcher, dataset, overlap=3)
    task = make_task(researcher, dataset, question={"edits": True}, overlap=2)
    one, two = make_client(Role.annotator), make_client(Role.annotator)
    (card,) = deal(one, task)
    edit(one, card)
    for other, labels, wanted in ((task, 2, 3), (before, 0, 3)):
        assert [found["item_id"] for found in deal(two, other, 5)] == [card["item_id"]]
        told = progress(two, other)
        assert [told[name] for name in ("total", "done", "labels", "wanted")] == [2, 1, labels, wanted]
        with transaction() as session:
            tallies.recount(session, [dataset])
        assert progress(two, other) == told
        stands = researcher.get(f"{API}/tasks/{other['id']}/throughput").json()["stands"]
        assert (stands["labels"], stands["wanted"]) == (labels, wanted)
    assert len(deal(two, make_task(researcher, dataset), 5)) == 2


def test_an_earlier_judgement_stays(researcher: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """Who has judged the pair that their edit makes keeps that judgement, also when they take the edit back."""
    dataset = make_pairs(1)
    task = make_task(researcher, dataset, question={"edits": True})
    one, two = make_client(Role.annotator), make_client(Role.annotator)
    (card,) = deal(one, task)
    edit(one, card)
    item = made_in(dataset)
    later = make_task(researcher, dataset, question={"edits": True})
    cards = {dealt["item_id"]: dealt for dealt in deal(two, later, 2)}
    send(two, cards[str(item.id)], {"strength": 0})
    answer = edit(two, cards[card["item_id"]])
    assert answer.status_code == 201
    assert undo(two, answer).status_code == 200

    theirs = [label.value for label in stored(cards[str(item.id)]) if label.annotator_id == two.user.id]
    assert theirs == [{"strength": 0}]


def test_no_edit_with_a_skip(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """Who skips has nothing to say of the responses: an edit beside it is refused, and nothing is stored."""
    task = make_task(researcher, make_pairs(1), question={"edits": True})
    (card,) = deal(annotator, task)
    said = body(card, {"skip": ""}, edit={"response": 0, "text": TEXT})
    refused = annotator.post(f"{API}/items/{card['item_id']}/labels", json=said)
    assert (refused.status_code, refused.json()["type"], refused.json()["field"]) == (422, "/problems/NotAsked", "edit")
    assert stored(card) == []
