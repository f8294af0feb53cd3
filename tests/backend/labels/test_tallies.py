"""Counts that are kept: whatever happens to labels, they are what counting everything anew would give."""

import random
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, func, insert, select, text

from alignment.formats import Item as ReadItem
from alignment.formats import LabelFacts
from backend.accounts.models import Role
from backend.datasets import service as datasets
from backend.datasets.models import Dataset, Item
from backend.db import transaction
from backend.labels import service, tallies
from backend.labels.models import Label, LabelSource, Tally
from backend.projects import service as projects
from backend.tasks import service as tasks
from tests.backend.labels.conftest import MakePairs, send, take
from tests.conftest import Client
from tests.queries import rows_read

MakeClient = Callable[..., Client]
Kept = tuple[dict[str, int], list[bool], dict[str, int], list[tallies.Counts | None]]
VALUES = ({"strength": 2}, {"strength": 0}, {"both_bad": True}, {"skip": "unsure"})


def kept(dataset_id: uuid.UUID, people: list[Client]) -> Kept:
    """All that is kept of a dataset, as pages read it."""
    with transaction() as session:
        splits = session.get_one(Dataset, dataset_id).splits
        judged = session.scalars(select(Item.judged).where(Item.dataset_id == dataset_id).order_by(Item.position))
        counts = [tallies.counts(session, [dataset_id], person.user.id).get(dataset_id) for person in people]
        return splits, list(judged), tallies.sources(session, dataset_id), counts


def recounted(dataset_id: uuid.UUID, people: list[Client]) -> Kept:
    """The same, counted anew."""
    with transaction() as session:
        tallies.recount(session, [dataset_id])
    return kept(dataset_id, people)


@pytest.mark.parametrize("seed", range(2))
def test_any_course(make_client: MakeClient, make_pairs: MakePairs, seed: int) -> None:
    """After any course of judging, judging again, skipping, undoing and voting, the counts are the true ones."""
    lottery = random.Random(seed)
    people = [make_client(Role.annotator) for _ in range(3)]
    dataset = make_pairs(6)
    cards = {person: take(person, dataset, 6) for person in people[:1]}
    for person in people:
        cards[person] = [
            {**card, "lease": _lease(person, card["item_id"])} for card in cards[people[0]]
        ]  # all hold all, as after leases ran out
    said: list[tuple[Client, str]] = []
    for _ in range(30):
        person = lottery.choice(people)
        move = lottery.random()
        if move < 0.2 and said:
            who, label = said.pop(lottery.randrange(len(said)))
            who.post(f"/api/v1/labels/{label}/undo")
        elif move < 0.35:
            with transaction() as session:
                item = session.get_one(Item, uuid.UUID(lottery.choice(cards[person])["item_id"]))
                voter = lottery.choice([person.user.id, None])
                value = dict(lottery.choice(VALUES))
                service.add_vote(
                    session, item, value, annotator_id=voter, verdict_id=uuid.UUID(int=lottery.getrandbits(128)),
                    swapped=False,
                )  # fmt: skip
        else:
            card = lottery.choice(cards[person])
            said.append((person, send(person, card, dict(lottery.choice(VALUES)))["label"]["id"]))

    found = kept(dataset, people)
    assert found == recounted(dataset, people)
    assert found[0] == {"train": 6}
    with transaction() as session:
        assert sum(found[2].values()) == session.scalar(select(func.count()).select_from(Label))


def _lease(person: Client, item_id: str) -> str:
    from backend.labels import leases

    with transaction() as session:
        item = session.get_one(Item, uuid.UUID(item_id))
        task = tasks.standing(session, session.get_one(Dataset, item.dataset_id))
        (held,) = leases.hold(session, task, person.user.id, [item], None)
        return str(held.lease.token)


def test_new_items(make_client: MakeClient) -> None:
    """Items that come with labels of files and people are counted as they are written."""
    person = make_client(Role.researcher)
    own = str(person.user.id)
    given = [
        [LabelFacts({"strength": 1}), LabelFacts({"strength": -1})],
        [LabelFacts({"skip": "unsure"})],
        [LabelFacts({"strength": 1}, "vote", own), LabelFacts({"strength": 1}, "judge")],
        [LabelFacts({"skip": "unsure"}, "person", own)],
        [LabelFacts({"skip": "unsure", "annotator": "w1"}), LabelFacts({"strength": 1, "annotator": "w1"})],
        [LabelFacts({"strength": 1, "annotator": "w2"}), LabelFacts({"skip": "unsure", "annotator": "w2"})],
        [],
    ]
    with transaction() as session:
        items = [
            ReadItem(
                [{"role": "user", "content": f"Question {n}"}],
                [{"role": "assistant", "content": f"{n} a"}, {"role": "assistant", "content": f"{n} b"}],
                labels,
            )
            for n, labels in enumerate(given)
        ]
        dataset = datasets.create_from_items(session, projects.default(session), "Given", items).id

    found = kept(dataset, [person])
    assert found[1:] == (
        [False, False, True, False, False, False, False],
        {"import": 7, "vote": 1, "judge": 1, "person": 1},
        [tallies.Counts(4, 1, 1)],
    )
    assert sum(found[0].values()) == 7
    assert found == recounted(dataset, [person])


def test_adding_up(annotator: Client, make_pairs: MakePairs) -> None:
    """The sweep makes few rows of many, and no count changes; it does nothing where there are few."""
    dataset, other, many = make_pairs(3), make_pairs(3), 12
    for _ in range(many // 2 + 1):
        (card,) = take(annotator, dataset)
        label = send(annotator, card)["label"]
        assert annotator.post(f"/api/v1/labels/{label['id']}/undo").status_code == 200
    send(annotator, take(annotator, other)[0])
    before = kept(dataset, [annotator]), kept(other, [annotator])

    with transaction() as session:
        tallies.settle(session, many)
    assert (kept(dataset, [annotator]), kept(other, [annotator])) == before
    with transaction() as session:
        rows = dict(session.execute(select(Tally.dataset_id, func.count()).group_by(Tally.dataset_id)).all())
    assert rows[dataset] <= 4 < many
    assert rows[other] == 3


def test_counting_anew_while_the_sweep_adds_up(
    annotator: Client, make_pairs: MakePairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums that the sweep is just writing are not counted a second time beside what counting anew finds."""
    monkeypatch.setattr(tallies, "MANY", 0)
    dataset = make_pairs(2)
    (card,) = take(annotator, dataset)
    for _ in range(3):
        send(annotator, card)
    before = kept(dataset, [annotator])

    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            tallies.settle(session)
            counting = pool.submit(recounted, dataset, [annotator])
            with pytest.raises(TimeoutError):
                counting.result(0.5)
        assert counting.result(30) == before


def test_judging_beside_labels_that_go(
    annotator: Client, admin: Client, make_client: MakeClient, make_pairs: MakePairs
) -> None:
    """Somebody judges an item at the moment when another's labels of it are removed: their judgement is counted."""
    dataset = make_pairs(2)
    (card,) = take(annotator, dataset)
    send(annotator, card)
    other = make_client(Role.annotator)
    wanted = {"confirm": annotator.user.name, "judgements": "delete", "free_text": "delete"}

    with ThreadPoolExecutor(1) as pool:
        with transaction() as session:
            item = session.get_one(Item, uuid.UUID(card["item_id"]))
            service.add_vote(
                session, item, {"strength": 1}, annotator_id=other.user.id, verdict_id=uuid.uuid4(), swapped=False
            )
            erasing = pool.submit(admin.post, f"/api/v1/users/{annotator.user.id}/erase", json=wanted)
            with pytest.raises(TimeoutError):
                erasing.result(0.5)
        assert erasing.result(30).status_code == 200

    found = kept(dataset, [other])
    assert found[3] == [tallies.Counts(2, 1, 1)]
    assert found == recounted(dataset, [other])


def test_many_at_once(make_client: MakeClient, make_pairs: MakePairs) -> None:
    """People who label at the same moment, while the sweep adds up, lose no count."""
    people = [make_client(Role.annotator) for _ in range(4)]
    dataset = make_pairs(28)  # who is through first has one more on the screen

    def work(person: Client) -> None:
        for _ in range(6):
            send(person, take(person, dataset)[0])
            with transaction() as session:
                tallies.settle(session, many=0)

    with ThreadPoolExecutor(len(people)) as pool:
        list(pool.map(work, people))

    found = kept(dataset, people)
    assert found[1].count(True) == 24
    assert found[3] == [tallies.Counts(28, 24, 6)] * 4
    assert found == recounted(dataset, people)


def test_feedback_reads_few_labels(make_pairs: MakePairs) -> None:
    """Another label of nobody costs the same on an item with many, and is counted as a recount would."""
    dataset = make_pairs(1)
    with transaction() as session:
        item = session.scalars(select(Item).where(Item.dataset_id == dataset)).one()
        own = {"project_id": item.project_id, "item_id": item.id, "dataset_id": dataset, "source": LabelSource.imported}
        session.execute(delete(Label))
        tallies.recount(session, [dataset])
        for value, labelled in (({"skip": "x"}, 0), ({"strength": 1}, 1), ({"strength": 2}, 1)):
            label = Label(**own, value=value)
            session.add(label)
            tallies.note(session, label)
            assert tallies.counts(session, [dataset])[dataset].labelled == labelled
        session.execute(insert(Label), [own | {"value": {"strength": 1}}] * 200)
        tallies.recount(session, [dataset])
    with transaction() as session:
        session.execute(text("ANALYZE labels"))
        session.execute(text("SET LOCAL enable_seqscan = off"))
        before = rows_read(session, "labels")
        label = Label(**own, value={"strength": -1})
        session.add(label)
        tallies.note(session, label)
        assert rows_read(session, "labels") - before < 20
    assert kept(dataset, []) == recounted(dataset, [])
