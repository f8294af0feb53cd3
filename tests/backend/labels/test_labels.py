"""Judging a pair: stored once, in the item's order, versioned, undoable, one's own."""

import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from backend.accounts.models import Role
from backend.datasets.models import Dataset, Item, Kind
from backend.db import transaction
from backend.labels import service, tallies
from backend.labels.models import Label, LabelSource, Lease
from backend.labels.queries import current_labels
from tests.backend.labels.conftest import MakePairs, body, send, stored, take
from tests.conftest import Client
from tests.queries import counted

MakeClient = Callable[..., Client]
JSON = {"content-type": "application/json"}


def test_signed_out(anonymous: Client, make_pairs: MakePairs) -> None:
    dataset, some = make_pairs(), uuid.uuid4()

    assert anonymous.post(f"/api/v1/items/{some}/labels", json={}).status_code == 401
    assert anonymous.post(f"/api/v1/labels/{some}/undo").status_code == 401
    assert anonymous.get(f"/api/v1/items/{some}/labels").status_code == 401
    assert anonymous.get(f"/api/v1/datasets/{dataset}/labels").status_code == 401


def test_somebody_elses(annotator: Client, admin: Client, make_pairs: MakePairs) -> None:
    """Nobody undoes another's label or labels by another's lease; unknown ones are 404."""
    one, two = take(annotator, make_pairs(), 2)
    label = send(annotator, one)["label"]

    assert admin.post(f"/api/v1/labels/{label['id']}/undo").status_code == 404
    assert annotator.post(f"/api/v1/labels/{uuid.uuid4()}/undo").status_code == 404
    assert admin.post(f"/api/v1/items/{two['item_id']}/labels", json=body(two)).status_code == 409
    assert annotator.post(f"/api/v1/items/{uuid.uuid4()}/labels", json=body(two)).status_code == 404
    assert len(stored(one)) == 1
    assert stored(two) == []


def test_lease_of_another_item(annotator: Client, make_pairs: MakePairs) -> None:
    """A pair is labelled by its own lease only."""
    one, two = take(annotator, make_pairs(), 2)

    answer = annotator.post(f"/api/v1/items/{one['item_id']}/labels", json=body(two))
    assert (answer.status_code, answer.json()["field"]) == (409, "lease")
    assert stored(one) == stored(two) == []


def test_stored_in_item_order(annotator: Client, make_pairs: MakePairs) -> None:
    """ "Left is better" is stored as better for whichever response was on the left, with the side order."""
    for card in take(annotator, make_pairs(20), 20):
        sent = send(annotator, card, {"strength": 2}, rationale="  clearer ")["label"]
        (label,) = stored(card)

        assert label.swapped == card["responses"][0]["text"].startswith("bad")
        assert label.value == {"strength": -2 if label.swapped else 2}
        assert (label.source, label.rationale, label.version) == (LabelSource.person, "clearer", 1)
        assert sent["value"] == {"strength": 2}  # what they saw: the answer does not tell the side order either
        assert "swapped" not in sent


def test_seconds_are_bounded(annotator: Client, make_pairs: MakePairs) -> None:
    """Nobody takes longer than the card was out, by the server's clock; within that the browser is believed."""
    one, two = take(annotator, make_pairs(), 2)
    with transaction() as session:
        earlier = func.now() - timedelta(seconds=60)
        lease = Lease.token == uuid.UUID(two["lease"])
        session.execute(update(Lease).where(lease).values(created_at=earlier))
    hurried = body(one, seconds=3600)
    for _ in range(2):
        assert annotator.post(f"/api/v1/items/{one['item_id']}/labels", json=hurried).status_code == 201
    send(annotator, two, seconds=42.5)

    assert 0 <= (stored(one)[0].seconds or 0) < 60
    assert stored(two)[0].seconds == 42.5


def test_next_card_comes_with_the_answer(annotator: Client, make_pairs: MakePairs) -> None:
    """The answer brings a pair that the client does not hold, and null at the end."""
    one, two = take(annotator, make_pairs(3), 2)
    answer = send(annotator, one, holding=[two["item_id"]])

    assert (answer["next"]["position"], answer["progress"]) == (2, None)
    last = send(annotator, two, holding=[answer["next"]["item_id"]])
    assert (last["next"], last["progress"]["labelled"]) == (None, 2)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"strength": 4},
        {"strength": -4},
        {"strength": 1.5},
        {"strength": "1"},
        {"strength": True},
        {"strength": 1, "both_bad": True},
        {"both_bad": False},
        {"both_bad": 1, "skip": "x"},
        {"skip": "x" * 501},
        {"skip": "nul \x00"},
        {"skip": "\ud800"},
        {"retracted": True},
        {"strength": 1, "annotator": "me"},
        [],
        None,
    ],
)
def test_bad_values(annotator: Client, make_pairs: MakePairs, value: Any) -> None:
    """Whatever is no single judgement is refused, names the value as the field, and stores nothing."""
    (card,) = take(annotator, make_pairs())
    raw = json.dumps(body(card) | {"value": value})  # escapes lone surrogates, which the client would not encode
    answer = annotator.post(f"/api/v1/items/{card['item_id']}/labels", content=raw, headers=JSON)

    assert answer.status_code == 422, answer.text
    assert answer.json()["field"].startswith("value")
    assert stored(card) == []


@pytest.mark.parametrize(
    "field",
    [
        {"seconds": -1},
        {"seconds": 1e9},
        {"seconds": "soon"},
        {"rationale": "x" * 10_001},
        {"rationale": "nul \x00"},
        {"client_id": "not an id"},
        {"lease": None},
        {"holding": "everything"},
        {"annotator_id": str(uuid.uuid4())},
        {"source": "import"},
    ],
)
def test_bad_fields(annotator: Client, make_pairs: MakePairs, field: dict[str, Any]) -> None:
    """A field out of range or unknown is refused by name, and nothing is stored."""
    (card,) = take(annotator, make_pairs())
    answer = annotator.post(f"/api/v1/items/{card['item_id']}/labels", json=body(card) | field)

    assert answer.status_code == 422, answer.text
    assert answer.json()["field"] == next(iter(field))
    assert stored(card) == []


def test_not_a_number(annotator: Client, make_pairs: MakePairs) -> None:
    """NaN and infinity, which Python's JSON reader lets in, are refused."""
    (card,) = take(annotator, make_pairs())
    for wrong in ("NaN", "Infinity"):
        raw = json.dumps(body(card)).replace("3.5", wrong)
        answer = annotator.post(f"/api/v1/items/{card['item_id']}/labels", content=raw, headers=JSON)
        assert answer.status_code == 422


def test_same_client_id(annotator: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """A label sent again is stored once and answered alike; the same id for anything else is refused."""
    dataset, other = make_pairs(), make_client(Role.annotator)
    one, two = take(annotator, dataset, 2)
    sent = body(one, rationale="")
    address = f"/api/v1/items/{one['item_id']}/labels"
    first = annotator.post(address, json=sent).json()
    again = annotator.post(address, json=sent)

    assert (again.status_code, again.json()["label"]) == (201, first["label"])
    assert again.json()["next"]["lease"] == first["next"]["lease"]
    assert again.json()["progress"] == first["progress"]
    (theirs,) = take(other, dataset)
    for client, target, changed in (
        (annotator, one, {"value": {"strength": 1}}),
        (annotator, one, {"seconds": 9.0}),
        (annotator, one, {"rationale": "other"}),
        (annotator, two, {"lease": two["lease"]}),
        (other, theirs, {"lease": theirs["lease"]}),
    ):
        answer = client.post(f"/api/v1/items/{target['item_id']}/labels", json=sent | changed)
        assert (answer.status_code, answer.json()["field"]) == (409, "client_id"), changed
    assert len(stored(one)) == 1
    assert stored(two) == stored(theirs) == []


def test_same_client_id_at_once(annotator: Client, make_pairs: MakePairs) -> None:
    """The same label sent six times at the same moment is one label; one id for two pairs is one label too."""
    one, two = take(annotator, make_pairs(), 2)
    sent = body(one)

    def post(card: dict[str, Any]) -> int:
        address = f"/api/v1/items/{card['item_id']}/labels"
        return annotator.post(address, json=sent | {"lease": card["lease"]}).status_code

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(post, [one] * 6)) == {201}
    assert len(stored(one)) == 1

    sent = body(one)
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(post, [one, two])) == [201, 409]
    assert len(stored(one)) + len(stored(two)) == 2


def test_few_statements(annotator: Client, make_pairs: MakePairs) -> None:
    """Storing a label and handing out the next pair asks the database nine times: fifty people share it."""
    (card,) = take(annotator, make_pairs(tallies.ALMOST + 6))  # the end is far: nobody looks whether it has come
    card = send(annotator, card)["next"]
    with counted() as said:
        assert send(annotator, card)["next"]

    assert len(said) <= 9, said


def test_changing_is_a_new_version(annotator: Client, make_pairs: MakePairs) -> None:
    """A second judgement keeps the first; only the newest counts."""
    dataset = make_pairs()
    (card,) = take(annotator, dataset)
    send(annotator, card, {"strength": 3})
    send(annotator, card, {"both_bad": True})

    assert [label.version for label in stored(card)] == [1, 2]
    with transaction() as session:
        counted = session.scalars(current_labels(dataset)).all()
    mine = [label for label in counted if label.annotator_id == annotator.user.id]
    assert [label.value for label in mine] == [{"both_bad": True}]
    assert len(counted) == 4  # the three imported ones stay


def test_undo(annotator: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """Undo adds a version, brings the pair back under a lease, and may be sent twice."""
    dataset = make_pairs(1)
    (card,) = take(annotator, dataset)
    label = send(annotator, card)["label"]
    answers = [annotator.post(f"/api/v1/labels/{label['id']}/undo") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["card"]["item_id"] == card["item_id"]
    assert answers[0].json()["progress"]["labelled"] == 0
    assert [one.value for one in stored(card)][1:] == [{"retracted": True}]
    assert take(make_client(Role.annotator), dataset) == []
    with transaction() as session:
        assert session.scalars(current_labels(dataset).where(Label.annotator_id.is_not(None))).all() == []

    send(annotator, answers[0].json()["card"], {"strength": 0})
    assert [one.version for one in stored(card)] == [1, 2, 3]
    stale = annotator.post(f"/api/v1/labels/{label['id']}/undo")
    assert (stale.status_code, stale.json()["type"]) == (409, "/problems/ChangedSince")


def test_lease_run_out(annotator: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """A late judgement is kept, whether the pair is still free or somebody else has judged it meanwhile."""
    dataset, other = make_pairs(2), make_client(Role.annotator)
    free, taken = take(annotator, dataset, 2)
    with transaction() as session:
        session.execute(update(Lease).values(expires_at=func.now() - timedelta(seconds=1)))
    (theirs,) = [card for card in take(other, dataset, 2) if card["item_id"] == taken["item_id"]]
    send(other, theirs)

    send(annotator, free)
    send(annotator, taken)
    assert len(stored(free)) == 1
    assert {label.annotator_id for label in stored(taken)} == {annotator.user.id, other.user.id}
    assert annotator.get("/api/v1/progress").json()["items"][0]["progress"]["labelled"] == 2


def test_what_nobody_made_a_task_for(annotator: Client, researcher: Client, make_pairs: MakePairs) -> None:
    """Pairs, rankings and single answers are told, and which of them have a task, closed ones too; prompts are not."""
    made = {kind: make_pairs(1) for kind in (Kind.paired, Kind.ranked, Kind.unpaired, Kind.prompts)}
    with transaction() as session:
        for kind, dataset in made.items():
            session.get_one(Dataset, dataset).kind = kind
    body = {"dataset_id": str(made[Kind.ranked]), "name": "Rank", "question": {"kind": "ranking"}}
    task = researcher.post("/api/v1/tasks", json=body).json()
    researcher.post(f"/api/v1/tasks/{task['id']}/close")

    found = {row["dataset_id"]: row["tasked"] for row in annotator.get("/api/v1/progress").json()["items"]}
    del made[Kind.prompts]
    assert found == {str(dataset): kind is Kind.ranked for kind, dataset in made.items()}


def test_lists(annotator: Client, researcher: Client, make_pairs: MakePairs) -> None:
    """Researchers see all labels in item order, annotators only their own as they saw them; pages join without gaps."""
    dataset = make_pairs(4)
    cards = take(annotator, dataset, 2)
    for card in cards:
        send(annotator, card, {"strength": 3})
    (theirs,) = take(researcher, dataset)
    send(researcher, theirs)

    everything, cursor = [], None
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = researcher.get(f"/api/v1/datasets/{dataset}/labels", params=query).json()
        everything += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len({label["id"] for label in everything}) == len(everything) == 4 + 3
    mine = [label for label in everything if label["annotator"] == annotator.user.name]
    assert [label["value"]["strength"] for label in mine] == [-3 if label["swapped"] else 3 for label in mine]

    own = annotator.get(f"/api/v1/datasets/{dataset}/labels").json()["items"]
    assert [(label["item_id"], label["value"]) for label in own] == [(c["item_id"], {"strength": 3}) for c in cards]
    assert annotator.get(f"/api/v1/items/{theirs['item_id']}/labels").json()["items"] == []
    assert "swapped" not in annotator.get(f"/api/v1/items/{cards[0]['item_id']}/labels").json()["items"][0]
    assert len(researcher.get(f"/api/v1/items/{theirs['item_id']}/labels").json()["items"]) == 2
    assert researcher.get(f"/api/v1/datasets/{dataset}/labels?limit=0").status_code == 422
    assert researcher.get(f"/api/v1/datasets/{dataset}/labels?cursor=x").status_code == 422
    assert researcher.get(f"/api/v1/datasets/{uuid.uuid4()}/labels").status_code == 404


def test_counted_labels_leave_out_skips_and_later_ones(annotator: Client, make_pairs: MakePairs) -> None:
    """What a snapshot freezes is the newest of each annotator up to its watermark, without skips where asked."""
    dataset = make_pairs(2)
    judged, skipped = take(annotator, dataset, 2)
    before = send(annotator, judged, {"strength": 1})["label"]
    send(annotator, skipped, {"skip": "same"})
    send(annotator, judged, {"strength": 3})

    with transaction() as session:
        people = Label.annotator_id.is_not(None)
        now = session.scalars(current_labels(dataset, skips=False).where(people)).all()
        then = session.scalars(current_labels(dataset, up_to=uuid.UUID(before["id"])).where(people)).all()
    assert [(str(label.item_id), abs(label.value["strength"])) for label in now] == [(judged["item_id"], 3)]
    assert [str(label.id) for label in then] == [before["id"]]


def test_votes(annotator: Client, make_pairs: MakePairs) -> None:
    """A verdict becomes one label however often it is exported; a vote spares others the pair, a judge's not."""
    dataset = make_pairs(2)
    with transaction() as session:
        voted, judged = session.scalars(select(Item).where(Item.dataset_id == dataset).order_by(Item.position))
        verdict = uuid.uuid4()
        user = annotator.user.id
        votes = [
            service.add_vote(
                session, voted, {"strength": -2}, annotator_id=user, verdict_id=verdict, swapped=True, seconds=4.0
            )
            for _ in range(2)
        ]
        judge = service.add_vote(
            session, judged, {"strength": 1}, annotator_id=None, verdict_id=uuid.uuid4(), swapped=False
        )
        assert votes[0].id == votes[1].id
        assert (votes[0].source, votes[0].value, votes[0].version) == (LabelSource.vote, {"strength": -2}, 1)
        assert judge.source == LabelSource.judge

    assert [card["item_id"] for card in take(annotator, dataset, 2)] == [str(judged.id)]
