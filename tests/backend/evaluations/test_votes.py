"""People judging an evaluation's matches, and votes becoming data."""

import json
import uuid
from typing import Any

import pytest

from backend.accounts.models import Role
from backend.datasets.models import Item
from backend.db import transaction
from backend.evaluations.models import Match
from backend.labels.models import Label
from tests.backend.evaluations.conftest import NAMES, TEXTS, Ask, Body, ballot, vote
from tests.conftest import Client
from workers.tasks import evaluate


def cards(client: Client, evaluation: Body, n: int = 50) -> list[Body]:
    """The client's next matches."""
    answer = client.post(f"/api/v1/evaluations/{evaluation['id']}/cards", json={"n": n})
    assert answer.status_code == 200, answer.text
    found: list[Body] = answer.json()["cards"]
    return found


@pytest.fixture
def waiting(researcher: Client, body: Body) -> Body:
    """An evaluation whose answers are there and whose matches wait for people."""
    launched: Body = researcher.post("/api/v1/evaluations", json=body | {"judge": {"name": "people"}}).json()
    evaluate.work()
    return launched


def test_cards_are_blind(annotator: Client, waiting: Body) -> None:
    """A card holds no name and no id of a checkpoint."""
    told = json.dumps(cards(annotator, waiting))

    for secret in (*NAMES, *(contestant["id"] for contestant in waiting["contestants"])):
        assert secret not in told


def test_side_order_is_the_persons_own_and_stays(annotator: Client, researcher: Client, waiting: Body) -> None:
    """Asked again, a person sees the same sides; two people do not see all matches alike; both orders occur."""
    mine = {card["match_id"]: card["left"]["text"] for card in cards(annotator, waiting)}
    again = {card["match_id"]: card["left"]["text"] for card in cards(annotator, waiting)}
    other = {card["match_id"]: card["left"]["text"] for card in cards(researcher, waiting)}
    with transaction() as session:
        first = {str(match.id): (match.response_a or {})["content"] for match in session.query(Match)}

    assert mine == again
    assert mine != other
    assert 0 < sum(mine[match] == first[match] for match in mine) < len(mine)


def test_nobody_judges_a_match_twice(annotator: Client, researcher: Client, waiting: Body) -> None:
    """A judged match never comes back to the same person, but does to somebody else; progress counts."""
    for number, card in enumerate(cards(annotator, waiting, 3)):
        answer = vote(annotator, card["match_id"], {"strength": number}).json()
    judged = {card["match_id"] for card in cards(annotator, waiting)}

    assert not any(name in json.dumps(answer) for name in NAMES)
    assert answer["progress"] == {"total": 12, "by_you": 3, "by_anyone": 3, "left": 9}
    assert len(judged) == 9
    assert len(cards(researcher, waiting)) == 12


def test_undo_brings_the_match_back(annotator: Client, researcher: Client, waiting: Body) -> None:
    """A slip of the finger is taken back, by nobody but the person, and judged anew."""
    (card,) = cards(annotator, waiting, 1)
    verdict = vote(annotator, card["match_id"], {"strength": 3}).json()["verdict"]

    assert researcher.post(f"/api/v1/verdicts/{verdict['id']}/undo").status_code == 404
    undone = annotator.post(f"/api/v1/verdicts/{verdict['id']}/undo").json()

    assert (undone["card"], undone["progress"]["by_you"]) == (card, 0)
    assert annotator.post(f"/api/v1/verdicts/{verdict['id']}/undo").status_code == 404
    assert vote(annotator, card["match_id"], {"strength": -3}).status_code == 201


def test_the_least_judged_come_first(annotator: Client, researcher: Client, waiting: Body) -> None:
    """People spread over the matches before they judge the same one."""
    judged = [card["match_id"] for card in cards(annotator, waiting, 5)]
    for match in judged:
        vote(annotator, match, {"strength": 1})

    assert {card["match_id"] for card in cards(researcher, waiting, 7)}.isdisjoint(judged)


def test_held_cards_are_not_handed_out_again(annotator: Client, waiting: Body) -> None:
    """A client that prefetches gets other matches next."""
    held = [card["match_id"] for card in cards(annotator, waiting, 8)]

    answer = annotator.post(f"/api/v1/evaluations/{waiting['id']}/cards", json={"n": 50, "holding": held}).json()

    assert {card["match_id"] for card in answer["cards"]}.isdisjoint(held)
    assert len(answer["cards"]) == 4


def test_peoples_votes_are_a_table_of_the_report(annotator: Client, researcher: Client, evaluated: Body) -> None:
    """Votes on an automatic evaluation stand beside the judge's verdicts; skips are counted, agreement is told."""
    tuned = evaluated["contestants"][1]["id"]
    for card in cards(annotator, evaluated, 10):
        vote(annotator, card["match_id"], {"strength": 1})
    (card,) = cards(annotator, evaluated, 1)
    vote(annotator, card["match_id"], {"skip": "unclear"})

    report = researcher.get(f"/api/v1/evaluations/{evaluated['id']}/report").json()

    people = next(table for table in report["tables"] if table["judge"] == "people")
    (row,) = people["pairs"]
    assert (row["first"], row["verdicts"], row["undecided"]) == (tuned, 11, {"skipped": 1})
    assert row["win_rate"]["n"] == 10
    assert people["shown_first"]["rate"] == 1.0  # always voted for the left one
    assert (report["agreement"][0]["judge"], report["agreement"][0]["n"]) == ("rules", 10)
    assert report["judged_by_people"] == 11


def export(client: Client, **body: Any) -> Any:
    """Turn votes into data."""
    return client.post("/api/v1/matches/export", json=body)


def test_votes_become_labels_once(researcher: Client, annotator: Client, waiting: Body) -> None:
    """Each judged match is an item whose label says what the person saw; exporting again adds nothing."""
    said: dict[str, tuple[str, int]] = {}
    for card, strength in zip(cards(annotator, waiting, 3), (3, -2, 0), strict=True):
        vote(annotator, card["match_id"], {"strength": strength})
        said[card["prompt"][0]["text"]] = (card["left"]["text"], strength)

    first = export(researcher, evaluation_id=waiting["id"], name="Votes").json()
    again = export(researcher, evaluation_id=waiting["id"], dataset_id=first["dataset_id"]).json()

    assert (first["items"], first["labels"]) == (3, 3)
    assert (again["items"], again["labels"]) == (3, 0)
    with transaction() as session:
        rows = session.query(Item, Label).join(Label, Label.item_id == Item.id).all()
        assert len(rows) == 3
        for item, label in rows:
            left, strength = said[item.prompt[0]["content"]]
            expected = strength if item.responses[0]["content"] == left else -strength
            assert label.value == {"strength": expected}
            assert (label.source, label.annotator_id) == ("vote", annotator.user.id)
            assert {one["name"] for one in item.facts["meta"]["checkpoints"]} == set(NAMES)


def test_an_undone_vote_takes_its_labels_back(researcher: Client, annotator: Client, waiting: Body) -> None:
    """Undoing a verdict that was exported retracts its label in every dataset by a new version; others stay, and the
    next verdict is exported anew."""
    given = [
        vote(annotator, card["match_id"], {"strength": 2}).json()["verdict"] for card in cards(annotator, waiting, 2)
    ]
    found = [export(researcher, evaluation_id=waiting["id"], name=name).json() for name in ("One", "Two")]

    undone = annotator.post(f"/api/v1/verdicts/{given[0]['id']}/undo")

    assert undone.status_code == 200
    for dataset in found:
        current = researcher.get(f"/api/v1/datasets/{dataset['dataset_id']}/labels").json()["items"]
        assert len(current) == 1
    with transaction() as session:
        versions = sorted((label.version, "retracted" in label.value) for label in session.query(Label))
    assert versions == [(1, False)] * 4 + [(2, True)] * 2

    vote(annotator, given[0]["match_id"], {"strength": -2})
    again = export(researcher, evaluation_id=waiting["id"], dataset_id=found[0]["dataset_id"]).json()
    assert again["labels"] == 1
    labels = researcher.get(f"/api/v1/datasets/{found[0]['dataset_id']}/labels").json()["items"]
    assert len(labels) == 2


def test_a_later_judgement_outlives_the_undo(researcher: Client, waiting: Body) -> None:
    """Who has labelled the item again since its export keeps that label when the verdict is undone."""
    (card,) = cards(researcher, waiting, 1)
    verdict = vote(researcher, card["match_id"], {"strength": 2}).json()["verdict"]
    dataset = export(researcher, evaluation_id=waiting["id"], name="Votes").json()["dataset_id"]
    with transaction() as session:
        first = session.query(Label).one()
        names = ("project_id", "item_id", "dataset_id", "annotator_id")
        columns = {name: getattr(first, name) for name in names}
        session.add(Label(**columns, source="person", value={"strength": 1}, version=2))

    assert researcher.post(f"/api/v1/verdicts/{verdict['id']}/undo").status_code == 200
    (label,) = researcher.get(f"/api/v1/datasets/{dataset}/labels").json()["items"]
    assert (label["source"], label["value"]) == ("person", {"strength": 1})


def test_a_vote_goes_into_two_datasets(researcher: Client, waiting: Body) -> None:
    """A second dataset gets labels of its own."""
    (card,) = cards(researcher, waiting, 1)
    vote(researcher, card["match_id"], {"strength": 1})

    found = [export(researcher, evaluation_id=waiting["id"], name=name).json() for name in ("One", "Two")]

    assert [one["labels"] for one in found] == [1, 1]


def test_later_votes_join_the_same_dataset(researcher: Client, ask: Ask) -> None:
    """The arena's votes can be sent on again and again; only what is new is added. One whose names are not shown waits
    for that, and is counted."""
    first, second = (ask(researcher, prompt)["id"] for prompt in ("first", "second"))
    ballot(researcher, first, {"strength": 1})
    researcher.post(f"/api/v1/arena/battles/{first}/reveal")
    ballot(researcher, second, {"both_bad": True})
    made = export(researcher, arena=True, name="Arena").json()
    researcher.post(f"/api/v1/arena/battles/{second}/reveal")

    found = export(researcher, arena=True, dataset_id=made["dataset_id"]).json()

    assert (made["items"], made["labels"], made["left_out"]) == (1, 1, {"the names are not shown yet": 1})
    assert (found["items"], found["labels"], found["left_out"]) == (2, 1, {})


def test_votes_can_be_frozen_and_trained_on(researcher: Client, waiting: Body) -> None:
    """The dataset of votes freezes into a snapshot at once, the better answer chosen."""
    for card in cards(researcher, waiting):
        vote(researcher, card["match_id"], {"strength": 2})
    dataset = export(researcher, evaluation_id=waiting["id"], name="Votes").json()

    answer = researcher.post(f"/api/v1/datasets/{dataset['dataset_id']}/snapshots", json={})

    assert answer.status_code in {200, 201}, answer.text
    assert dataset["items"] == len(TEXTS)
    assert 0 < dataset["trainable"] <= len(TEXTS)


def test_a_judges_verdicts_become_labels_when_asked(researcher: Client, evaluated: Body) -> None:
    """Automatic verdicts are exported only when asked for, as labels of source "judge", one a match."""
    refused = export(researcher, evaluation_id=evaluated["id"], name="Nothing yet")
    found = export(researcher, evaluation_id=evaluated["id"], name="Judged", judges=True).json()
    again = export(researcher, evaluation_id=evaluated["id"], dataset_id=found["dataset_id"], judges=True).json()

    assert (refused.status_code, refused.json()["title"]) == (422, "Nothing to add")
    assert (found["items"], found["labels"], again["labels"]) == (12, 12, 0)
    with transaction() as session:
        assert {label.source for label in session.query(Label)} == {"judge"}


def test_identical_answers_are_left_out(researcher: Client, body: Body, pair: list[str]) -> None:
    """Two equal answers make no pair; they are left out and counted."""
    launched = researcher.post("/api/v1/evaluations", json=body | {"judge": {"name": "people"}}).json()
    evaluate.work()
    with transaction() as session:
        match = session.query(Match).where(Match.position == 0).one()
        match.response_b = match.response_a
    for card in cards(researcher, launched):
        vote(researcher, card["match_id"], {"strength": 1})

    found = export(researcher, evaluation_id=launched["id"], name="Votes").json()

    assert (found["items"], found["left_out"]) == (11, {"both answers are the same": 1})


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x"},
        {"arena": True},
        {"arena": True, "name": "x", "dataset_id": str(uuid.uuid4())},
        {"arena": True, "evaluation_id": str(uuid.uuid4()), "name": "x"},
        {"arena": True, "name": " "},
    ],
)
def test_unclear_exports_are_refused(researcher: Client, body: Body) -> None:
    """Source and target are named once each."""
    assert export(researcher, **body).status_code == 422


def test_a_taken_name_is_told(researcher: Client, ask: Ask) -> None:
    """Two datasets do not share a name."""
    battle = ask(researcher)["id"]
    ballot(researcher, battle, {"strength": 1})
    researcher.post(f"/api/v1/arena/battles/{battle}/reveal")
    assert export(researcher, arena=True, name="Arena").status_code == 201

    answer = export(researcher, arena=True, name="Arena")

    assert (answer.status_code, answer.json()["field"]) == (409, "name")


def test_two_people_leave_two_labels(researcher: Client, make_client: Any, waiting: Body) -> None:
    """Votes of two people on one match are two labels of one item."""
    second = make_client(Role.annotator)
    (card,) = cards(researcher, waiting, 1)
    for client in (researcher, second):
        vote(client, card["match_id"], {"strength": 1})

    found = export(researcher, evaluation_id=waiting["id"], name="Votes").json()

    assert (found["items"], found["labels"]) == (1, 2)


def test_an_export_sent_twice_is_one(researcher: Client, waiting: Body) -> None:
    """With its Idempotency-Key, an export whose answer was lost gives the same answer again, not "name taken"."""
    vote(researcher, cards(researcher, waiting, 1)[0]["match_id"], {"strength": 1})
    body, headers = {"evaluation_id": waiting["id"], "name": "Votes"}, {"Idempotency-Key": "k"}
    first, again = (researcher.post("/api/v1/matches/export", json=body, headers=headers) for _ in range(2))

    assert (first.status_code, again.status_code) == (201, 201), again.text
    assert first.json() == again.json()
