"""Handing out pairs: in order, once, blind, in a side order of one's own, for a time."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, update

from backend.accounts.models import Role
from backend.datasets.models import Item, Kind
from backend.db import transaction
from backend.labels.cards import swapped
from backend.labels.models import Lease
from tests.backend.labels.conftest import MakePairs, body, send, take
from tests.conftest import Client

MakeClient = Callable[..., Client]


def expire(card: dict[str, str]) -> None:
    with transaction() as session:
        ended = func.now() - timedelta(seconds=1)
        session.execute(update(Lease).where(Lease.token == uuid.UUID(card["lease"])).values(expires_at=ended))


def test_signed_out(anonymous: Client, make_pairs: MakePairs) -> None:
    dataset, token = make_pairs(), uuid.uuid4()

    assert anonymous.post(f"/api/v1/datasets/{dataset}/cards", json={}).status_code == 401
    assert anonymous.get("/api/v1/progress").status_code == 401
    assert anonymous.post(f"/api/v1/leases/{token}/renew").status_code == 401
    assert anonymous.delete(f"/api/v1/leases/{token}").status_code == 401


def test_somebody_elses_lease(annotator: Client, admin: Client, make_pairs: MakePairs) -> None:
    """Nobody renews or releases the lease of another, an admin neither."""
    (card,) = take(annotator, make_pairs())

    assert admin.post(f"/api/v1/leases/{card['lease']}/renew").status_code == 404
    assert admin.delete(f"/api/v1/leases/{card['lease']}").status_code == 404


def test_unknown_dataset_and_no_pairs(annotator: Client, make_pairs: MakePairs) -> None:
    """An unknown dataset is 404, one without pairs says that it holds none, an empty one has no card."""
    assert annotator.post(f"/api/v1/datasets/{uuid.uuid4()}/cards", json={}).status_code == 404
    assert annotator.post("/api/v1/datasets/nonsense/cards", json={}).status_code == 404
    refused = annotator.post(f"/api/v1/datasets/{make_pairs(kind=Kind.prompts)}/cards", json={})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/NothingToLabel")
    assert take(annotator, make_pairs(0)) == []


def test_limits(annotator: Client, make_pairs: MakePairs) -> None:
    """The number of cards and of held items is bounded, unknown fields are refused."""
    address = f"/api/v1/datasets/{make_pairs()}/cards"

    for bad in ({"n": 0}, {"n": 51}, {"n": True, "x": 1}, {"holding": [str(uuid.uuid4())] * 1001}, {"holding": ["x"]}):
        assert annotator.post(address, json=bad).status_code == 422, bad


def test_in_order_and_not_held_ones(annotator: Client, make_pairs: MakePairs) -> None:
    """Cards come by position; those that the client holds are passed over; its own leases come again on reload."""
    dataset = make_pairs(5)
    first = take(annotator, dataset, 2)
    more = take(annotator, dataset, 2, holding=[card["item_id"] for card in first])

    assert [card["position"] for card in first + more] == [0, 1, 2, 3]
    again = take(annotator, dataset, 2)
    assert [(card["item_id"], card["lease"]) for card in again] == [(card["item_id"], card["lease"]) for card in first]


def asked(cards: list[dict[str, Any]]) -> list[int]:
    """Which items the cards show, by their place in the dataset."""
    return [int(card["prompt"][0]["text"].split()[-1]) for card in cards]


def test_on_from_the_last_label_then_around(annotator: Client, make_pairs: MakePairs) -> None:
    """Cards at hand come again as they were dealt, an undone one too; new ones go on from the person's last label, and
    come round to what was left before."""
    dataset = make_pairs(6)
    cards = take(annotator, dataset, 6)
    label = send(annotator, cards[3])["label"]
    assert asked(take(annotator, dataset, 6)) == [0, 1, 2, 4, 5]
    for card in cards:
        expire(card)
    assert asked(take(annotator, dataset, 6)) == [4, 5, 0, 1, 2]

    annotator.post(f"/api/v1/labels/{label['id']}/undo")
    assert sorted(asked(take(annotator, dataset, 6))) == [0, 1, 2, 3, 4, 5]


def test_one_person_at_a_time(annotator: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """A leased or judged pair goes to nobody else; a released, run-out or skipped one does."""
    dataset, other = make_pairs(2), make_client(Role.annotator)
    held, kept = take(annotator, dataset, 2)

    assert take(other, dataset, 5) == []
    expire(held)
    assert [card["item_id"] for card in take(other, dataset, 5)] == [held["item_id"]]
    assert annotator.delete(f"/api/v1/leases/{kept['lease']}").status_code == 204
    assert len(take(other, dataset, 5)) == 2

    dataset = make_pairs(2)
    judged, skipped = take(annotator, dataset, 2)
    send(annotator, judged)
    send(annotator, skipped, {"skip": ""})
    assert [card["item_id"] for card in take(other, dataset, 5)] == [skipped["item_id"]]
    assert take(annotator, dataset, 5) == []


def test_renewal(annotator: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """A lease is prolonged, also one that ran out, but not when the pair has gone to somebody else."""
    dataset, other = make_pairs(1), make_client(Role.annotator)
    (card,) = take(annotator, dataset)
    expire(card)
    renewed = annotator.post(f"/api/v1/leases/{card['lease']}/renew")
    assert (renewed.status_code, take(other, dataset)) == (200, [])

    expire(card)
    take(other, dataset)
    lost = annotator.post(f"/api/v1/leases/{card['lease']}/renew")
    assert (lost.status_code, lost.json()["type"]) == (409, "/problems/LeaseLost")


def test_blind(annotator: Client, make_pairs: MakePairs) -> None:
    """A card tells nothing of origin, truth, import label or side order."""
    answer = annotator.post(f"/api/v1/datasets/{make_pairs()}/cards", json={"n": 3})

    assert "secret" not in answer.text
    assert set(answer.json()["cards"][0]) == {
        *("item_id", "dataset_id", "task_id", "kind", "lease", "expires_at", "position", "prompt", "responses"),
        *("suggestion", "same_prompt"),
    }
    assert set(answer.json()["cards"][0]["responses"][0]) == {"role", "html", "text", "reasoning", "tool_calls"}


def test_both_side_orders(annotator: Client, make_pairs: MakePairs) -> None:
    """The side order that a person is shown follows `swapped`."""
    dataset = make_pairs(40)
    cards = take(annotator, dataset, 40)
    with transaction() as session:
        items = session.scalars(select(Item).order_by(Item.position)).all()
        expected = [swapped(item, annotator.user.id) for item in items]

    assert [card["responses"][0]["text"].startswith("bad") for card in cards] == expected


def test_half_of_the_side_orders_are_turned() -> None:
    """Over pairs and over people, and two people do not see the same ones turned."""
    dataset, one, other = (uuid.UUID(int=number) for number in (1, 2, 3))
    items = [Item(id=uuid.UUID(int=number), dataset_id=dataset) for number in range(100, 140)]

    seen = [swapped(item, one) for item in items]
    assert 8 < sum(seen) < 32
    assert [swapped(item, other) for item in items] != seen
    assert 8 < sum(swapped(items[0], uuid.UUID(int=person)) for person in range(40)) < 32


def test_markup_is_harmless(annotator: Client, make_pairs: MakePairs) -> None:
    """Text of data reaches the card as harmless HTML beside its plain form."""
    evil = '<img src=x onerror="alert(1)"><script>alert(2)</script> [a](javascript:alert(3)) **bold**'
    (card,) = take(annotator, make_pairs(1, prompt=evil, good=evil, bad=evil))

    for shown in (*card["prompt"], *card["responses"]):
        assert shown["text"].startswith(evil)
        assert "<img" not in shown["html"]
        assert "<script" not in shown["html"]
        assert 'href="javascript' not in shown["html"]
        assert "<strong>bold</strong>" in shown["html"]


def test_progress(annotator: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """Progress counts people's judgements; skips are none, and what only an import has labelled is told apart."""
    dataset, other = make_pairs(4), make_client(Role.researcher)
    one, two, three = take(annotator, dataset, 3)
    send(annotator, one)
    assert send(annotator, two, {"skip": "both say the same"})["progress"] is None  # there is a next pair
    progress = annotator.get(f"/api/v1/progress?dataset_id={dataset}").json()["items"][0]["progress"]
    assert progress == {"total": 4, "labelled": 1, "by_you": 1, "skipped": 1, "left": 2, "imported": 3, "today": 1}

    finished = {"total": 4, "labelled": 4, "skipped": 0, "left": 0, "imported": 0}
    annotator.delete(f"/api/v1/leases/{three['lease']}")
    answers = [send(other, card) for card in take(other, dataset, 4)]
    assert answers[-1]["progress"] == {**finished, "by_you": 3, "today": 3}
    assert annotator.get(f"/api/v1/progress?dataset_id={uuid.uuid4()}").json()["items"] == []
    (seen,) = annotator.get("/api/v1/progress").json()["items"]
    assert seen["dataset_id"] == str(dataset)
    assert seen["progress"] == {**finished, "by_you": 1, "today": 1}


def test_my_midnight(annotator: Client, make_pairs: MakePairs) -> None:
    """ "Today" begins at the midnight of the person's own clock; a nonsensical clock is refused."""
    address = f"/api/v1/datasets/{make_pairs()}/cards"

    for minutes, status in (("60", 200), ("-840", 200), ("1441", 422), ("x", 422)):
        assert annotator.post(address, json={}, headers={"x-utc-offset": minutes}).status_code == status


def test_eight_at_once(make_client: MakeClient, make_pairs: MakePairs) -> None:
    """Eight people taking cards at the same time never hold the same pair, and together they get all."""
    dataset = make_pairs(80)
    clients = [make_client(Role.annotator) for _ in range(8)]

    def work(client: Client) -> list[str]:
        held: list[str] = []
        for _ in range(5):
            held += [card["item_id"] for card in take(client, dataset, 2, holding=held)]
        return held

    with ThreadPoolExecutor(8) as pool:
        shares = list(pool.map(work, clients))
    for client, share in zip(clients, shares, strict=True):  # a lock of somebody else may have hidden the last ones
        share += [card["item_id"] for card in take(client, dataset, 50, holding=share)]

    everything = [item for share in shares for item in share]
    assert len(everything) == len(set(everything)) == 80


def test_labelling_at_once(make_client: MakeClient, make_pairs: MakePairs) -> None:
    """Four people who label until nothing is left judge every pair exactly once."""
    dataset = make_pairs(40)
    clients = [make_client(Role.annotator) for _ in range(4)]

    def work(client: Client) -> int:
        done = 0
        cards = take(client, dataset)
        while cards:
            answer = client.post(f"/api/v1/items/{cards[0]['item_id']}/labels", json=body(cards[0])).json()
            done += 1
            cards = [answer["next"]] if answer["next"] else take(client, dataset)
        return done

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, clients)) == 40
    progress = clients[0].get("/api/v1/progress").json()["items"][0]["progress"]
    assert (progress["labelled"], progress["left"]) == (40, 0)
