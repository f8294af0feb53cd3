"""The queue of a task: overlap, orders, known answers, late labels, and many people at once."""

import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on

from backend.accounts.models import Role
from backend.datasets.models import Item
from backend.db import transaction
from backend.labels import tallies
from backend.labels.models import Label
from backend.tasks import places
from backend.tasks.models import Place, Task
from tests.backend.labels.conftest import MakePairs, body, send, stored
from tests.backend.tasks.conftest import API, asked, counted, deal, expire, make_task, progress
from tests.conftest import Client
from tests.queries import rows_read

MakeClient = Callable[..., Client]


def test_overlap(researcher: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """An item goes to as many people as the task wants labels, leases counting as labels, and to nobody twice."""
    task = make_task(researcher, make_pairs(1), overlap=2)
    one, two, three = (make_client(Role.annotator) for _ in range(3))
    (first,), (second,) = deal(one, task), deal(two, task)

    assert first["item_id"] == second["item_id"]
    assert deal(three, task) == []
    send(one, first)
    assert deal(one, task) == deal(three, task) == []
    assert one.delete(f"{API}/leases/{second['lease']}").status_code == 404
    assert two.delete(f"{API}/leases/{second['lease']}").status_code == 204
    (third,) = deal(three, task)
    send(three, third)

    assert counted(task) == [2]
    assert deal(two, task) == []
    assert progress(two, task) == {
        "total": 1,
        "done": 1,
        "labels": 2,
        "wanted": 2,
        "by_you": 0,
        "skipped": 0,
        "left": 0,
    }


def test_late_label_is_surplus(researcher: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """Who sends after others have given all labels wanted is thanked like everybody; the label is kept as surplus."""
    task = make_task(researcher, make_pairs(1), overlap=1)
    late, quick = make_client(Role.annotator), make_client(Role.annotator)
    (held,) = deal(late, task)
    expire(held)
    (taken,) = deal(quick, task)
    send(quick, taken)
    sent = send(late, held)

    assert "surplus" not in sent["label"]
    assert [(label.annotator_id, label.surplus) for label in stored(held)] == [
        (quick.user.id, False),
        (late.user.id, True),
    ]
    quick.post(f"{API}/labels/{stored(held)[0].id}/undo")
    assert progress(late, task)["done"] == 0  # a surplus label stays one
    (again,) = deal(quick, task)
    send(quick, again, {"strength": 1})
    assert progress(quick, task) == {
        "total": 1,
        "done": 1,
        "labels": 1,
        "wanted": 1,
        "by_you": 1,
        "skipped": 0,
        "left": 0,
    }
    rows = researcher.get(f"{API}/items/{held['item_id']}/labels").json()["items"]
    assert [row["surplus"] for row in rows if row["source"] == "person"] == [False, True, False, False]


def test_skips_take_no_place(researcher: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """A skipped item is done for who skipped it and goes to others; what wants more of others is not left for me."""
    task = make_task(researcher, make_pairs(2), overlap=2)
    one, two = make_client(Role.annotator), make_client(Role.annotator)
    (first, second) = deal(one, task, 2)
    send(one, first, {"skip": "same"})
    send(one, second)

    assert progress(one, task) == {
        "total": 2,
        "done": 0,
        "labels": 1,
        "wanted": 4,
        "by_you": 1,
        "skipped": 1,
        "left": 0,
    }
    assert deal(one, task, 2) == []
    for card in deal(two, task, 2):
        send(two, card)
    assert progress(one, task) == {
        "total": 2,
        "done": 1,
        "labels": 3,
        "wanted": 4,
        "by_you": 1,
        "skipped": 1,
        "left": 0,
    }
    assert progress(two, task)["left"] == 0


def test_random_order_is_stable(researcher: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """A random order is the same for everybody and every time with one seed, and another with another."""
    dataset = make_pairs(30)
    one, two = make_client(Role.annotator), make_client(Role.annotator)
    orders = []
    for seed, person in ((1, one), (1, two), (2, one)):
        task = make_task(researcher, dataset, order="random", seed=seed, overlap=2)
        orders.append(asked(deal(person, task, 30)))

    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2]) == list(range(30))
    assert orders[0] != sorted(orders[0])


def test_uncertain_first(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """Items come by their priority, those without one last and in their order; a new priority counts at once."""
    task = make_task(researcher, make_pairs(5), order="uncertainty")
    with transaction() as session:
        row = session.get_one(Task, uuid.UUID(task["id"]))
        places.fill(session, row)
        ids = session.scalars(select(Place.item_id).where(Place.task_id == row.id).order_by(Place.rank)).all()
        places.prioritize(session, row, {ids[3]: 0.5, ids[1]: 0.9})
    (first,) = deal(annotator, task)
    send(annotator, first)
    assert asked([first]) == [1]

    with transaction() as session:
        places.prioritize(session, session.get_one(Task, uuid.UUID(task["id"])), {ids[4]: 0.7})
    assert asked(deal(annotator, task, 5)) == [3, 4, 0, 2]


def test_priorities_hold_their_own_items(researcher: Client, make_pairs: MakePairs) -> None:
    """Giving some items priorities holds up nobody at the others, however many there are."""
    task = make_task(researcher, make_pairs(3), order="uncertainty")
    with transaction() as session, transaction() as other:
        row = session.get_one(Task, uuid.UUID(task["id"]))
        query = select(Place).where(Place.task_id == row.id).order_by(Place.rank)
        named, *others = session.scalars(query).all()
        places.prioritize(session, row, {named.item_id: 0.5})
        free = other.scalars(query.with_for_update(skip_locked=True)).all()
        assert [one.item_id for one in free] == [one.item_id for one in others]


def test_one_more_of_a_prompt(researcher: Client, make_pairs: MakePairs) -> None:
    """An item that is added comes beside those with its prompt, and the others are not read for that."""
    dataset = make_pairs(60)
    task = make_task(researcher, dataset, assistance={"group_prompts": True})
    with transaction() as session:
        items = session.scalars(select(Item).where(Item.dataset_id == dataset).order_by(Item.position)).all()
        items[59].prompt_hash = items[2].prompt_hash
        session.execute(delete(Place).where(Place.item_id == items[59].id))
        session.flush()
        session.execute(text("ANALYZE items"))
        session.execute(text("SET LOCAL enable_seqscan = off"))
        before = rows_read(session, "items")
        place = places.fill_one(session, uuid.UUID(task["id"]), items[59])
        assert place.rank == items[2].position
        assert rows_read(session, "items") - before < 20


def test_equal_prompts_together(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """With grouped prompts the cards say which of how many with the same prompt they are; without, nothing."""
    dataset = make_pairs(3)
    task = make_task(researcher, dataset, assistance={"group_prompts": True})
    assert [card["same_prompt"] for card in deal(annotator, task, 3)] == [{"place": 1, "count": 1}] * 3
    assert deal(annotator, make_task(researcher, dataset))[0]["same_prompt"] is None


def test_golds_come_to_everybody(researcher: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """Known answers are mixed into everybody's stream by their share, unseen, also when they have all their labels."""
    dataset = make_pairs(60)
    task = make_task(researcher, dataset, gold_share=0.5, overlap=1)
    with transaction() as session:
        query = select(Place.item_id).where(Place.task_id == uuid.UUID(task["id"]))
        places.fill(session, session.get_one(Task, uuid.UUID(task["id"])))
        items = [str(one) for one in session.scalars(query.order_by(Place.rank.desc()).limit(6))]
    for item in items:
        assert researcher.put(f"{API}/items/{item}/gold", json={"value": {"strength": 1}}).status_code == 200
    seen = Counter[str]()
    for person in (make_client(Role.annotator) for _ in range(2)):
        for _ in range(32):
            (card,) = deal(person, task)
            send(person, card)
            seen[card["item_id"]] += 1

    assert {seen[item] for item in items} == {2}
    assert max(count for item, count in seen.items() if item not in items) == 1
    assert max(counted(task)) == 1
    with transaction() as session:
        golds = select(func.count()).where(Label.item_id.in_([uuid.UUID(one) for one in items]), Label.surplus)
        assert session.scalar(golds) == 6


def test_golds_come_last_without_more(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """When nothing else is left, items with known answers that want labels come as others do; then nothing does."""
    dataset = make_pairs(4)
    task = make_task(researcher, dataset, gold_share=0.01)
    (card,) = deal(annotator, task)
    researcher.put(f"{API}/items/{card['item_id']}/gold", json={"value": {"strength": 1}})
    annotator.delete(f"{API}/leases/{card['lease']}")
    done = 0
    while cards := deal(annotator, task):
        send(annotator, cards[0])
        done += 1

    assert done == 4
    assert progress(annotator, task)["left"] == 0


@pytest.mark.parametrize("overlap", [1, 3])
def test_many_at_once(researcher: Client, make_client: MakeClient, make_pairs: MakePairs, overlap: int) -> None:
    """Twelve people at once who skip, undo and judge: no item gets more labels than wanted, and none is lost."""
    task = make_task(researcher, make_pairs(40), overlap=overlap)
    people, start = [make_client(Role.annotator) for _ in range(12)], Barrier(12)

    def work(place: int) -> int:
        client, kept = people[place], 0
        start.wait()
        cards = deal(client, task, 2)
        for _ in range(40):
            if not cards:
                cards = deal(client, task)
                if not cards:
                    break
            card = cards.pop(0)
            holding = [one["item_id"] for one in cards]
            label = body(card, {"strength": place % 7 - 3}, holding=holding)
            answer = client.post(f"{API}/items/{card['item_id']}/labels", json=label)
            assert answer.status_code == 201, answer.text
            sent = answer.json()
            kept += 1
            if kept % 9 == place % 9:
                back = client.post(f"{API}/labels/{sent['label']['id']}/undo")
                assert back.status_code == 200, back.text
                again = body(back.json()["card"], {"strength": 0}, holding=holding)
                assert client.post(f"{API}/items/{card['item_id']}/labels", json=again).status_code == 201
            cards += [sent["next"]] if sent["next"] else []
        for card in cards:
            client.delete(f"{API}/leases/{card['lease']}")
        return kept

    with ThreadPoolExecutor(12) as pool:
        kept = sum(pool.map(work, range(12)))
    for client in people:  # a lock of somebody else may have hidden the last ones
        while cards := deal(client, task):
            send(client, cards[0])
            kept += 1

    found = progress(researcher, task)
    assert (found["done"], found["total"]) == (40, 40)
    assert found["labels"] == kept
    with transaction() as session:
        row = session.get_one(Task, uuid.UUID(task["id"]))
        wrong = select(func.count()).where(Place.task_id == row.id, (Place.taken != overlap) | Place.open)
        assert session.scalar(wrong) == 0
        newest = (
            select(Label.item_id, Label.surplus, Label.value)
            .where(Label.task_id == row.id)
            .ext(distinct_on(Label.item_id, Label.annotator_id))
            .order_by(Label.item_id, Label.annotator_id, Label.version.desc())
        )
        standing = Counter(item for item, surplus, value in session.execute(newest) if not surplus)
        assert set(standing.values()) == {overlap}
        before = tallies.of_tasks(session, [row.id], people[0].user.id)
        tallies.recount(session, [row.dataset_id])
        assert tallies.of_tasks(session, [row.id], people[0].user.id) == before


def test_todays_number(researcher: Client, annotator: Client, make_pairs: MakePairs) -> None:
    """What stands of today: a change counts once, what is skipped or taken back not, and what was said before midnight
    neither, unless it was said anew since."""
    task = make_task(researcher, make_pairs(5))
    cards = deal(annotator, task, 5)
    sent = [send(annotator, card, {"strength": 2})["label"] for card in cards[:4]]
    send(annotator, cards[4], {"skip": "unsure"})
    assert progress(annotator, task)["by_you"] == 4

    def today() -> int:
        return int(annotator.post(f"{API}/tasks/{task['id']}/cards", json={}).json()["progress"]["today"])

    assert today() == 4
    send(annotator, cards[0], {"strength": -1})
    assert today() == 4
    assert annotator.post(f"{API}/labels/{sent[1]['id']}/undo").status_code == 200
    assert today() == 3
    with transaction() as session:
        session.execute(update(Label).values(created_at=func.now() - timedelta(days=2)))
    assert today() == 0
    send(annotator, cards[2], {"strength": 1})
    assert today() == 1
