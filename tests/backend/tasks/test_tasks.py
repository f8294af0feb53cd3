"""Making and changing tasks, who sees and labels them, closing, deadlines, and the task that stands by itself."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from backend.accounts.models import Role
from backend.datasets.models import Kind
from backend.db import transaction
from backend.labels import tallies
from backend.labels.models import Lease
from backend.tasks.models import Task
from tests.backend.labels.conftest import MakePairs, body, send, stored, take
from tests.backend.tasks.conftest import API, deal, expire, make_task, progress
from tests.conftest import Client

MakeClient = Callable[..., Client]
PAST = (datetime.now(UTC) - timedelta(days=1)).isoformat()


def test_signed_out(anonymous: Client) -> None:
    some = uuid.uuid4()

    for method, path in (
        ("POST", "/tasks"), ("GET", "/tasks"), ("GET", f"/tasks/{some}"), ("PATCH", f"/tasks/{some}"),
        ("POST", f"/tasks/{some}/close"), ("POST", f"/tasks/{some}/reopen"), ("POST", f"/tasks/{some}/cards"),
        ("PUT", f"/items/{some}/gold"), ("DELETE", f"/items/{some}/gold"), ("GET", f"/datasets/{some}/golds"),
    ):  # fmt: skip
        assert anonymous.request(method, f"{API}{path}").status_code == 401, path


def test_annotators_make_none(annotator: Client, researcher: Client, make_pairs: MakePairs) -> None:
    """Annotators neither make nor change tasks, nor see known answers; what is unknown is 404."""
    dataset = make_pairs(1)
    task = make_task(researcher, dataset)
    (card,) = deal(researcher, task)
    item = card["item_id"]

    assert annotator.post(f"{API}/tasks", json={"dataset_id": str(dataset), "name": "x"}).status_code == 403
    assert annotator.patch(f"{API}/tasks/{task['id']}", json={"name": "x"}).status_code == 403
    assert annotator.post(f"{API}/tasks/{task['id']}/close").status_code == 403
    assert annotator.put(f"{API}/items/{item}/gold", json={"value": {"strength": 1}}).status_code == 403
    assert annotator.get(f"{API}/datasets/{dataset}/golds").status_code == 403
    for path in (f"tasks/{uuid.uuid4()}", f"datasets/{uuid.uuid4()}/golds"):
        assert researcher.get(f"{API}/{path}").status_code == 404
    assert researcher.delete(f"{API}/items/{item}/gold").status_code == 404


def test_what_annotators_see(annotator: Client, researcher: Client, make_pairs: MakePairs) -> None:
    """Annotators see the question, the guidelines and how far it is, and nothing of known answers, order or people."""
    task = make_task(researcher, make_pairs(2), guidelines="**Be fair.** <script>x</script>", gold_share=0.2)
    seen = annotator.get(f"{API}/tasks/{task['id']}").json()

    assert task.keys() - seen.keys() == {"gold_share", "order", "seed", "people", "created_by"}
    assert "<strong>Be fair.</strong>" in seen["guidelines_html"]
    assert "<script>" not in seen["guidelines_html"]
    assert annotator.get(f"{API}/tasks").json()["items"] == [seen]


def test_named_people(researcher: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """A task for named people is hidden from other annotators, and refused to others who see it."""
    one, other = make_client(Role.annotator), make_client(Role.annotator)
    task = make_task(researcher, make_pairs(3), people=[str(one.user.id)])
    cards = f"{API}/tasks/{task['id']}/cards"

    assert [person["name"] for person in task["people"]] == [one.user.name]
    assert len(deal(one, task)) == 1
    assert other.get(f"{API}/tasks/{task['id']}").status_code == other.post(cards, json={}).status_code == 404
    assert other.get(f"{API}/tasks").json()["items"] == []
    refused = researcher.post(cards, json={})
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/NotYours")
    outside = researcher.patch(f"{API}/tasks/{task['id']}", json={"people": [str(uuid.uuid4())]})
    assert (outside.status_code, outside.json()["field"]) == (422, "people")
    assert researcher.patch(f"{API}/tasks/{task['id']}", json={"people": []}).json()["people"] == []
    assert len(deal(other, task)) == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"overlap": 0}, "overlap"),
        ({"overlap": 21}, "overlap"),
        ({"gold_share": 0.6}, "gold_share"),
        ({"order": "best"}, "order"),
        ({"seed": -1}, "seed"),
        ({"name": " "}, "name"),
        ({"deadline": "2099-01-01T00:00:00"}, "deadline"),
        ({"deadline": PAST}, "deadline"),
        ({"question": {"kind": "thumb"}}, "question.kind"),
        ({"question": {"kind": "pair", "edits": "maybe"}}, "question.edits"),
        ({"question": {"aspects": [{"name": "a", "title": "A"}] * 2}}, "question.aspects"),
        ({"question": {"aspects": [{"name": "A b", "title": "A"}]}}, "question.aspects.0.name"),
        ({"question": {"aspects": [{"name": "a", "title": "A", "low": 5, "high": 5}]}}, "question.aspects.0"),
        ({"people": [str(uuid.UUID(int=1))]}, "people"),
        ({"standing": True}, "standing"),
        ({"guidelines": "nul \x00"}, "guidelines"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_tasks(researcher: Client, make_pairs: MakePairs, fields: dict[str, Any], field: str) -> None:
    """What is out of range, unknown or does not fit the dataset is refused by name."""
    answer = researcher.post(f"{API}/tasks", json={"dataset_id": str(make_pairs(1)), "name": "x", **fields})

    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text


def test_prompts_and_two_orders(researcher: Client, make_pairs: MakePairs) -> None:
    """Prompts alone take no task; two orders at once are refused."""
    prompts = {"dataset_id": str(make_pairs(1, kind=Kind.prompts)), "name": "x"}
    refused = researcher.post(f"{API}/tasks", json=prompts)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/NothingToLabel")
    both = {"order": "uncertainty", "assistance": {"group_prompts": True}}
    assert researcher.post(f"{API}/tasks", json={**prompts, **both}).status_code == 422


def test_made_once(researcher: Client, make_pairs: MakePairs) -> None:
    """A task is made once for one Idempotency-Key."""
    wanted = {"dataset_id": str(make_pairs(1)), "name": "x"}
    made = [researcher.post(f"{API}/tasks", json=wanted, headers={"idempotency-key": "k"}).json() for _ in range(2)]

    assert made[0] == made[1]
    assert len(researcher.get(f"{API}/tasks").json()["items"]) == 1


def test_closing(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """A closed task hands out and changes nothing; answers to cards from before are kept; reopened, it goes on."""
    task = make_task(researcher, make_pairs(3))
    first, second = deal(annotator, task, 2)
    label = send(annotator, first)["label"]
    for _ in range(2):
        assert researcher.post(f"{API}/tasks/{task['id']}/close").json()["closed_at"]

    late = send(annotator, second)
    assert late["next"] is None
    assert len(stored(second)) == 1
    assert annotator.get(f"{API}/tasks").json()["items"] == []
    for path, sent in (
        (f"tasks/{task['id']}/cards", {}),
        (f"items/{first['item_id']}/labels", body(first, {"strength": 0})),
        (f"labels/{label['id']}/undo", {}),
        (f"leases/{second['lease']}/renew", {}),
    ):
        refused = annotator.post(f"{API}/{path}", json=sent)
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/TaskClosed"), path
    assert len(stored(first)) == 1

    assert [one["id"] for one in researcher.get(f"{API}/tasks?state=closed").json()["items"]] == [task["id"]]
    assert researcher.post(f"{API}/tasks/{task['id']}/reopen").json()["closed_at"] is None
    assert len(deal(annotator, task)) == 1


def test_deadline(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """After the deadline, by the server's clock, nothing is handed out; what was handed out before is kept."""
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    task = make_task(researcher, make_pairs(2), deadline=soon)
    (card,) = deal(annotator, task)
    with transaction() as session:
        passed = datetime.now(UTC)
        session.execute(update(Task).where(Task.id == uuid.UUID(task["id"])).values(deadline=passed))

    refused = annotator.post(f"{API}/tasks/{task['id']}/cards", json={})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/DeadlinePassed")
    assert send(annotator, card)["next"] is None
    longer = researcher.patch(f"{API}/tasks/{task['id']}", json={"deadline": soon})
    assert longer.status_code == 200
    assert len(deal(annotator, task)) == 1


def test_another_overlap(researcher: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """Wanting more labels reopens what was done, wanting fewer closes it; a null where none may be is refused."""
    task = make_task(researcher, make_pairs(2))
    one, two = make_client(Role.annotator), make_client(Role.annotator)
    for card in deal(one, task, 2):
        send(one, card)
    assert deal(two, task) == []
    change = f"{API}/tasks/{task['id']}"

    assert researcher.patch(change, json={"overlap": 2}).json()["progress"]["done"] == 0
    (card,) = deal(two, task)
    send(two, card)
    assert progress(one, task) == {
        "total": 2,
        "done": 1,
        "labels": 3,
        "wanted": 4,
        "by_you": 2,
        "skipped": 0,
        "left": 0,
    }
    fewer = researcher.patch(change, json={"overlap": 1}).json()["progress"]
    assert (fewer["done"], fewer["labels"], fewer["wanted"]) == (2, 2, 2)
    assert researcher.patch(change, json={"overlap": None}).status_code == 422
    assert researcher.patch(change, json={"question": {}}).status_code == 422


def test_withdrawn(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """A withdrawn item is not handed out, its label is refused in plain words, and it is none of the total."""
    task = make_task(researcher, make_pairs(3))
    first, second = deal(annotator, task, 2)
    send(annotator, second)
    for card in (first, second):
        assert researcher.post(f"{API}/items/{card['item_id']}/withdraw", json={"reason": "spam"}).status_code == 200
    refused = annotator.post(f"{API}/items/{first['item_id']}/labels", json=body(first))

    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/Withdrawn")
    assert stored(first) == []
    told = progress(annotator, task)
    assert told == {"total": 1, "done": 0, "labels": 0, "wanted": 1, "by_you": 1, "skipped": 0, "left": 1}
    with transaction() as session:
        tallies.recount(session, [uuid.UUID(task["dataset_id"])])
    assert progress(annotator, task) == told
    assert annotator.post(f"{API}/labels/{stored(second)[0].id}/undo").json()["type"] == "/problems/Withdrawn"
    for card in (first, second):
        researcher.post(f"{API}/items/{card['item_id']}/restore", json={})
    assert progress(annotator, task) == {
        "total": 3,
        "done": 1,
        "labels": 1,
        "wanted": 3,
        "by_you": 1,
        "skipped": 0,
        "left": 2,
    }


def test_standing_task(researcher: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """A dataset has one task of its own until somebody makes one; then who names the dataset gets that one."""
    dataset, person = make_pairs(4), make_client(Role.annotator)
    (card,) = take(person, dataset)
    (standing,) = researcher.get(f"{API}/tasks?dataset_id={dataset}").json()["items"]
    assert (standing["id"], standing["standing"]) == (card["task_id"], True)
    made = make_task(researcher, dataset, overlap=2)
    assert take(person, dataset)[0]["task_id"] == made["id"]

    researcher.post(f"{API}/tasks/{made['id']}/close")
    assert take(person, dataset)[0]["task_id"] == standing["id"]
    researcher.post(f"{API}/tasks/{standing['id']}/close")
    refused = person.post(f"{API}/datasets/{dataset}/cards", json={})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/NothingToLabel")


def test_labels_from_before_tasks(annotator: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """What people judged outside of tasks counts in the standing one, which is made after it."""
    from backend.datasets.models import Item
    from backend.labels import service

    dataset = make_pairs(3)
    with transaction() as session:
        item = session.scalars(select(Item).where(Item.dataset_id == dataset, Item.position == 0)).one()
        for value in ({"skip": "x"}, {"strength": 1}):
            service.add_vote(
                session, item, value, annotator_id=annotator.user.id, verdict_id=uuid.uuid4(), swapped=False
            )
    other = make_client(Role.annotator)
    cards = take(other, dataset, 3)

    assert str(item.id) not in {card["item_id"] for card in cards}
    assert progress(other, {"id": cards[0]["task_id"]})["done"] == 1
    with transaction() as session:
        voted = session.get_one(Item, uuid.UUID(cards[0]["item_id"]))
        service.add_vote(
            session, voted, {"strength": 1}, annotator_id=annotator.user.id, verdict_id=uuid.uuid4(), swapped=False
        )
    assert progress(other, {"id": cards[0]["task_id"]})["done"] == 2
    send(other, cards[0])
    assert stored(cards[0])[1].surplus


def test_clock_skew(researcher: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """A lease is as long as the server's clock says, whatever the browser's time; one that ran out may be renewed while
    there is room."""
    task = make_task(researcher, make_pairs(1))
    one, two = make_client(Role.annotator), make_client(Role.annotator)
    (card,) = deal(one, task)
    with transaction() as session:
        lease = session.scalars(select(Lease)).one()
        assert timedelta(minutes=9) < lease.expires_at - datetime.now(UTC) <= timedelta(minutes=10)
    expire(card)
    assert one.post(f"{API}/leases/{card['lease']}/renew", headers={"date": PAST}).status_code == 200
    expire(card)
    assert len(deal(two, task)) == 1
    lost = one.post(f"{API}/leases/{card['lease']}/renew")
    assert (lost.status_code, lost.json()["type"]) == (409, "/problems/LeaseLost")
