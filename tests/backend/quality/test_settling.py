"""Disagreements come without the votes, and what settles them is stored once, in the item's order, above all votes."""

import uuid
from typing import Any

import pytest
from sqlalchemy import select, update

from backend.datasets.models import Item, Kind
from backend.db import transaction
from backend.labels.models import Label, LabelSource
from backend.tasks.schemas import Question
from tests.conftest import Client
from tests.voted import MakeWorld, World, read, strengths

VOTES = strengths("+++", "++-", "+-=", "++", "+-", "s+", "--+")


def settle(client: Client, item: object, value: dict[str, Any], client_id: str | None = None, **more: Any) -> Any:
    body = {"client_id": client_id or str(uuid.uuid4()), "value": value, **more}
    return client.post(f"/api/v1/items/{item}/adjudication", json=body)


def test_signed_out_and_not_allowed(anonymous: Client, annotator: Client, make_world: MakeWorld) -> None:
    """Settling is for researchers."""
    world = make_world(VOTES)
    for client, status in ((anonymous, 401), (annotator, 403)):
        assert client.get(f"/api/v1/tasks/{world.task}/disagreements").status_code == status
        assert client.get(f"/api/v1/datasets/{world.dataset}/disagreements").status_code == status
        assert settle(client, world.items[0], {"strength": 1}).status_code == status


def test_the_most_divided_come_first_without_votes(researcher: Client, make_world: MakeWorld) -> None:
    """Items that all agree on, or that one has judged, are not there; nothing tells who said what; pages go on."""
    world = make_world(VOTES)
    path = f"/tasks/{world.task}/disagreements"

    first = read(researcher, path, limit=3)
    second = read(researcher, path, limit=3, cursor=first["next_cursor"])

    rows = first["items"] + second["items"]
    assert [row["position"] for row in rows] == [2, 4, 1, 6]
    assert [row["disagreement"] for row in rows] == [
        1,
        1,
        pytest.approx(2 / 3, abs=1e-6),
        pytest.approx(2 / 3, abs=1e-6),
    ]
    assert [row["labels"] for row in rows] == [3, 2, 3, 3]
    assert second["next_cursor"] is None
    assert {"value", "votes", "choices"}.isdisjoint(rows[0])
    assert read(researcher, f"/datasets/{world.dataset}/disagreements")["items"] == rows
    for wrong in ("x", "1-2-3", "-1", "1-99999999999"):
        assert researcher.get(f"/api/v1{path}", params={"cursor": wrong}).status_code == 422


def test_settled_in_the_order_of_the_item(researcher: Client, make_world: MakeWorld) -> None:
    """ "First is better" is stored as better for whichever stood first; the votes come with it, turned alike."""
    world = make_world(VOTES)
    for row in read(researcher, f"/tasks/{world.task}/disagreements")["items"]:
        long_first = row["responses"][0]["text"] == "a much longer answer"

        answer = settle(researcher, row["item_id"], {"strength": 2}, rationale=" clear ")

        assert answer.status_code == 201, answer.text
        found = answer.json()
        with transaction() as session:
            settled = select(Label).where(Label.source == LabelSource.adjudication).order_by(Label.id)
            label = session.scalars(settled).all()[-1]
            assert (str(label.item_id), label.value) == (row["item_id"], {"strength": -2 if long_first else 2})
            assert (label.kind, label.rationale, label.task_id, label.version) == ("pair", "clear", None, 1)
        assert found["label"]["value"] == {"strength": 2}
        ann = next(vote for vote in found["votes"] if vote["annotator"].startswith("ann"))
        said = VOTES[row["position"]]["ann"]["strength"]
        assert ann["value"] == {"strength": -said if long_first else said}
    assert read(researcher, f"/tasks/{world.task}/disagreements")["items"] == []


def test_sent_twice_it_is_stored_once(researcher: Client, make_world: MakeWorld) -> None:
    """The same id is the same answer; with another body it is refused; a new id is a new version."""
    world = make_world(VOTES)
    one = str(uuid.uuid4())
    first, again = (settle(researcher, world.items[2], {"strength": 1}, one) for _ in range(2))

    assert first.json() == again.json()
    assert settle(researcher, world.items[2], {"strength": 2}, one).status_code == 409
    assert settle(researcher, world.items[4], {"strength": 1}, one).status_code == 409
    assert settle(researcher, world.items[2], {"both_bad": True}).json()["label"]["version"] == 2


def test_what_its_judge_says_later_leaves_it_settled(researcher: Client, make_world: MakeWorld) -> None:
    """Who settled an item and then skips it in the task has not taken back what settled it."""
    world = make_world(strengths("+-"))
    assert settle(researcher, world.items[0], {"strength": 1}).status_code == 201
    world.people["lead"] = researcher.user.id
    world.add(world.label(0, "lead", {"skip": "unclear"}, version=2))

    assert read(researcher, f"/tasks/{world.task}/disagreements")["items"] == []


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"strength": 4},
        {"strength": 1.5},
        {"strength": True},
        {"strength": 1, "both_bad": True},
        {"skip": "unclear"},
        {"thumb": True},
        {"ranking": [[0], [0]]},
        {"ranking": [[0]]},
        {"ranking": []},
        {"retracted": True},
        {"annotator": "x", "strength": 1},
    ],
)
def test_no_answer_to_a_pair(researcher: Client, make_world: MakeWorld, value: dict[str, Any]) -> None:
    """What does not answer the question is refused at the value."""
    answer = settle(researcher, make_world(VOTES).items[2], value)

    assert (answer.status_code, answer.json()["field"].split(".")[0]) == (422, "value")


def test_withdrawn_and_unknown_items(researcher: Client, make_world: MakeWorld) -> None:
    """What was withdrawn meanwhile is not settled any more; what is not there is 404."""
    world = make_world(VOTES)
    with transaction() as session:
        session.execute(update(Item).where(Item.id == world.items[2]).values(withdrawn_at=Item.created_at))

    assert settle(researcher, world.items[2], {"strength": 1}).status_code == 409
    assert settle(researcher, uuid.uuid4(), {"strength": 1}).status_code == 404
    assert 2 not in [row["position"] for row in read(researcher, f"/tasks/{world.task}/disagreements")["items"]]


def test_rankings_and_thumbs_are_settled(researcher: Client, make_world: MakeWorld) -> None:
    """Orders come back as they were sent, and are stored by the item's own numbers; thumbs as they are."""
    orders = {"ann": {"ranking": [[0], [1], [2]]}, "ben": {"ranking": [[2], [1], [0]]}}
    ranked = make_world([orders] * 3, kind=Kind.ranked, question=Question(kind="ranking"), responses=3)
    texts = ["short", "a much longer answer", "the longest answer of all of them here"]
    for row in read(researcher, f"/tasks/{ranked.task}/disagreements")["items"]:
        order = [texts.index(one["text"]) for one in row["responses"]]
        found = settle(researcher, row["item_id"], {"ranking": [[1], [0, 2]]}).json()
        assert found["label"]["value"] == {"ranking": [[1], [0, 2]]}
        with transaction() as session:
            label = session.get_one(Label, uuid.UUID(found["label"]["id"]))
            assert label.value == {"ranking": [[order[1]], sorted([order[0], order[2]])]}
    thumbs = make_world(
        [{"ann": {"thumb": True}, "ben": {"thumb": False}}],
        kind=Kind.unpaired,
        question=Question(kind="thumb"),
        responses=1,
    )
    assert settle(researcher, thumbs.items[0], {"strength": 1}).status_code == 422
    assert settle(researcher, thumbs.items[0], {"thumb": False}).status_code == 201


def test_it_stands_above_the_votes(researcher: Client, make_world: MakeWorld) -> None:
    """Two to one said otherwise: an export goes by what settled it, agreement by the votes."""
    world: World = make_world(strengths("++-"))
    (row,) = read(researcher, f"/tasks/{world.task}/disagreements")["items"]
    long_first = row["responses"][0]["text"] == "a much longer answer"
    settle(researcher, row["item_id"], {"strength": 1 if long_first else -1})

    answer = researcher.get(f"/api/v1/datasets/{world.dataset}/export", params={"format": "trl"})

    assert answer.status_code == 200, answer.text
    assert answer.json()["chosen"][-1]["content"] == "a much longer answer"
    found = read(researcher, f"/tasks/{world.task}/agreement")
    assert found["labels"] == 3


def test_drill_down(researcher: Client, annotator: Client, make_world: MakeWorld) -> None:
    """Every version of every label, with side, seconds and what counts; by annotator and by item."""
    world = make_world(strengths("+-", "-+"))
    world.add(world.label(0, "ann", {"strength": -1}, version=2, swapped=True, seconds=2.5, surplus=True))
    path = f"/tasks/{world.task}/labels"

    rows = read(researcher, path)["items"]

    assert len(rows) == 5
    newest, *_ = rows
    assert (newest["version"], newest["counts"], newest["side"], newest["seconds"]) == (2, True, "left", 2.5)
    assert newest["surplus"]
    first = [row for row in rows if row["version"] == 1 and row["annotator_id"] == newest["annotator_id"]]
    assert {(row["position"], row["counts"], row["side"]) for row in first} == {(0, False, "left"), (1, True, "right")}
    own = read(researcher, path, annotator_id=newest["annotator_id"], item_id=newest["item_id"])["items"]
    assert [row["version"] for row in own] == [2, 1]
    assert annotator.get(f"/api/v1{path}").status_code == 403
    outside = make_world(strengths("+-"), outside=True)
    (ann,) = read(researcher, f"/datasets/{outside.dataset}/named-labels", name="ann")["items"]
    assert (ann["annotator"], ann["annotator_id"], ann["source"], ann["side"]) == ("ann", None, "person", None)
    assert ann["value"] == {"strength": 2}
