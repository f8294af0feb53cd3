"""An item's history tells all that happened to it, and annotators only what they did."""

import uuid
from collections.abc import Callable
from typing import Any

from sqlalchemy import insert, select

from backend.accounts.models import Role
from backend.audit import service as audit
from backend.datasets.models import Item, Kind, Snapshot, SnapshotLabel
from backend.db import transaction
from backend.labels.models import Label
from tests.backend.labels.conftest import MakePairs, send, take
from tests.conftest import Client

MakeClient = Callable[..., Client]
Events = list[dict[str, Any]]


def told(client: Client, item: str) -> Events:
    answer = client.get(f"/api/v1/items/{item}/history")
    assert answer.status_code == 200, answer.text
    found: Events = answer.json()["items"]
    return found


def kinds(events: Events) -> list[str]:
    return [one["kind"] for one in events]


def test_every_step_of_a_label(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """Handed out, labelled, taken back, skipped, labelled again, judged anew: each is there, and by whom."""
    (card,) = take(annotator, make_pairs(1))
    first = send(annotator, card, {"strength": 3}, rationale="clearer")["label"]
    annotator.post(f"/api/v1/labels/{first['id']}/undo")
    send(annotator, card, {"skip": "no idea"})
    send(annotator, card, {"strength": 0})
    send(annotator, card, {"strength": -1})

    events = told(researcher, card["item_id"])
    assert kinds(events) == ["changed", "labelled", "skipped", "undone", "labelled", "leased", "imported", "added"]
    labelled = events[4]
    assert (labelled["by"], labelled["text"]) == (annotator.user.name, "clearer")
    assert 0 <= labelled["seconds"] < 3.5  # nobody takes longer than the card was out
    with transaction() as session:
        stored = session.get_one(Label, uuid.UUID(first["id"]))
        assert labelled["value"] == stored.value  # in the item's own order
    assert [(one["text"], one["value"]) for one in events[2:4]] == [("no idea", None), (None, None)]


def test_made_of_an_edit(researcher: Client, make_pairs: MakePairs) -> None:
    """An item that somebody's edit made says so, and not that it was there from the beginning."""
    dataset = make_pairs(1)
    with transaction() as session:
        item = session.scalars(select(Item).where(Item.dataset_id == dataset)).one()
        item.facts = {"meta": {"edit_of": {"item_id": str(item.id), "response": 0}}}
        session.flush()

    assert kinds(told(researcher, str(item.id))) == ["imported", "edited"]


def test_page_by_page(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """Small pages put together are the whole, nothing twice, nothing lost."""
    (card,) = take(annotator, make_pairs(1))
    for strength in (3, 2, 1, 0):
        send(annotator, card, {"strength": strength})
    whole = told(researcher, card["item_id"])

    found: Events = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = researcher.get(f"/api/v1/items/{card['item_id']}/history", params=query).json()
        found += page["items"]
        query["cursor"] = page["next_cursor"]
        if query["cursor"] is None:
            break
    assert found == whole
    assert len(whole) == 7


def test_a_cursor_of_nothing(researcher: Client, make_pairs: MakePairs) -> None:
    dataset = make_pairs(1)
    with transaction() as session:
        item = session.scalars(select(Item.id).where(Item.dataset_id == dataset)).one()

    for bad in ("x", "1", "{" + str(uuid.UUID(int=7)) + "}", "0" * 8):
        answer = researcher.get(f"/api/v1/items/{item}/history", params={"cursor": bad})
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/BadCursor")


def test_annotators_see_only_their_own(make_client: MakeClient, make_pairs: MakePairs) -> None:
    """No label, name, known answer or snapshot of others; the own value as it was shown, so that sides tell nothing."""
    one, other = make_client(Role.annotator), make_client(Role.annotator)
    lead = make_client(Role.researcher)
    cards = take(one, make_pairs(8), 8)
    for card in cards:
        send(one, card, {"strength": 3})
    with transaction() as session:
        item = session.get_one(Item, uuid.UUID(cards[0]["item_id"]))
        audit.record(session, lead.user, item.project_id, "set_gold", "item", item.id)

    assert kinds(told(lead, cards[0]["item_id"])) == ["gold_set", "labelled", "leased", "imported", "added"]
    for card in cards:
        own = told(one, card["item_id"])
        assert kinds(own) == ["labelled", "leased", "added"]
        assert own[0]["value"] == {"strength": 3}
        assert kinds(told(other, card["item_id"])) == ["added"]


def test_snapshots_that_hold_it(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """A snapshot is told of the items whose labels decided its examples, and of no other."""
    one, two = take(annotator, make_pairs(2), 2)
    label = send(annotator, one)["label"]
    with transaction() as session:
        row = session.get_one(Item, uuid.UUID(one["item_id"]))
        of = {"project_id": row.project_id, "dataset_id": row.dataset_id, "kind": Kind.paired}
        snapshot = Snapshot(**of, hash="a" * 64, policy={}, counts={}, path="nowhere")
        session.add(snapshot)
        session.flush()
        session.execute(insert(SnapshotLabel).values(snapshot_id=snapshot.id, label_id=uuid.UUID(label["id"])))

    newest = told(researcher, one["item_id"])[0]
    assert (newest["kind"], newest["snapshot_id"], newest["text"]) == ("frozen", str(snapshot.id), "a" * 12)
    assert "frozen" not in kinds(told(researcher, two["item_id"]))
