"""Votes of the arena: stored once, read as pairs by a stated rule, taken back, counted, ranked, and made data."""

import uuid

import pytest

from backend.datasets.models import Item
from backend.db import transaction
from backend.evaluations.arena_votes import pairs
from backend.evaluations.models import Battle, Match, Verdict
from backend.labels.models import Label
from tests.backend.evaluations.conftest import Ask, Body, ballot, go_on
from tests.backend.evaluations.test_arena import URL
from tests.conftest import Client

TALLY = "/api/v1/arena/tally"


def test_what_a_vote_says_about_every_two() -> None:
    """A ranking compares all, ties within a group; the best alone beats the others, of which nothing is said; all bad
    and a skip hold for every two."""
    assert pairs({"strength": -2}, 2) == {(0, 1): {"strength": -2}}
    ranked = pairs({"ranking": [[2], [0, 1]]}, 3)
    assert ranked == {(0, 1): {"strength": 0}, (0, 2): {"strength": -1}, (1, 2): {"strength": -1}}
    best = pairs({"best": 1}, 4)
    assert best == {(0, 1): {"strength": -1}, (1, 2): {"strength": 1}, (1, 3): {"strength": 1}}
    assert set(pairs({"both_bad": True}, 4)) == {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}


def test_a_vote_sent_twice_is_stored_once(researcher: Client, ask: Ask, three: list[str]) -> None:
    """The same client_id gives the same answer; another id, or another value under it, is refused."""
    battle, client_id = ask(researcher, contestants=3)["id"], str(uuid.uuid4())

    first, again = (ballot(researcher, battle, {"ranking": [[0], [1], [2]]}, client_id) for _ in range(2))

    assert (first.status_code, first.json()) == (201, again.json())
    assert ballot(researcher, battle, {"ranking": [[0, 1], [2]]}, client_id).status_code == 409
    assert ballot(researcher, battle, {"best": 0}).status_code == 409
    with transaction() as session:
        assert (session.query(Verdict).count(), session.query(Match).count()) == (3, 3)


@pytest.mark.parametrize(
    "value",
    [
        {"strength": 4}, {"strength": 1.5}, {}, {"strength": 1, "both_bad": True}, {"x": 1}, {"best": 0},
        {"ranking": [[0], [1]]}, {"ranking": [[0], [1], [2]]},
    ],
)  # fmt: skip
def test_a_senseless_vote_on_two_is_refused(researcher: Client, ask: Ask, value: Body) -> None:
    """Two answers take one of strength, both bad and skip, within its bounds."""
    answer = ballot(researcher, ask(researcher)["id"], value)

    assert (answer.status_code, answer.json()["field"][:5]) == (422, "value")


@pytest.mark.parametrize(
    "value",
    [
        {"strength": 1},
        {"ranking": [[0], [1]]},
        {"ranking": [[0, 0], [1], [2]]},
        {"ranking": [[0], [1], [3]]},
        {"best": 3},
    ],
)
def test_a_senseless_vote_on_three_is_refused(researcher: Client, ask: Ask, three: list[str], value: Body) -> None:
    """Three answers take each its place, or a best one that there is."""
    assert ballot(researcher, ask(researcher, contestants=3)["id"], value).status_code == 422


def test_no_vote_before_all_answers(researcher: Client, pair: list[str]) -> None:
    """Who has not seen the answers cannot vote."""
    asked = researcher.post(URL, json={"prompt": "Hello"}).json()

    assert ballot(researcher, asked["id"], {"strength": 1}).status_code == 409


def test_a_vote_is_taken_back_until_the_names_are_known(researcher: Client, ask: Ask) -> None:
    """Undone, it counts nowhere, and one votes anew; with the names known it stands, and only then it becomes data,
    which tells the names."""
    battle = ask(researcher)["id"]
    ballot(researcher, battle, {"strength": 3})
    blind = researcher.post("/api/v1/matches/export", json={"arena": True, "name": "Votes"})
    assert (blind.status_code, "show their names" in blind.json()["remedy"]) == (422, True)

    undone = researcher.post(f"{URL}/{battle}/undo").json()

    assert undone["vote"] is None
    assert researcher.post(f"{URL}/{battle}/undo").json()["title"] == "No vote yet"
    assert ballot(researcher, battle, {"strength": -1}).status_code == 201
    researcher.post(f"{URL}/{battle}/reveal")
    assert researcher.post(f"{URL}/{battle}/undo").json()["title"] == "Names are known"
    with transaction() as session:
        assert session.query(Verdict).one().value == {"strength": -1}


def test_a_ranking_becomes_labelled_pairs(researcher: Client, ask: Ask, three: list[str]) -> None:
    """A ranking of three is three pairs with a label each, the better answer ahead; done again, nothing is added."""
    asked = ask(researcher, contestants=3)
    texts = [one["text"] for one in asked["answers"]]
    assert len(set(texts)) == 3
    ballot(researcher, asked["id"], {"ranking": [[1], [0, 2]]})
    researcher.post(f"{URL}/{asked['id']}/reveal")

    body = {"arena": True, "name": "Votes"}
    made = researcher.post("/api/v1/matches/export", json=body).json()
    again = researcher.post("/api/v1/matches/export", json={"arena": True, "dataset_id": made["dataset_id"]}).json()

    assert (made["items"], made["labels"], again["labels"]) == (3, 3, 0)
    with transaction() as session:
        for item, label in session.query(Item, Label).join(Label, Label.item_id == Item.id):
            first, second = (one["content"] for one in item.responses)
            expected = (first == texts[1]) - (second == texts[1])
            assert (label.value, label.source) == ({"strength": expected}, "vote")


def test_conversations_that_had_parted_make_no_pair(researcher: Client, ask: Ask, pair: list[str]) -> None:
    """A later turn has no prompt in common: its vote counts in the tally, and is left out of data with the reason; the
    first turn's becomes a pair."""
    first = ask(researcher)
    assert first["answers"][0]["text"] != first["answers"][1]["text"]
    ballot(researcher, first["id"], {"strength": 2})
    second = go_on(researcher, first, "And then?")
    ballot(researcher, second["id"], {"strength": -2})
    assert researcher.get(TALLY).json()["votes"] == 0  # the numbers would tell who is who
    researcher.post(f"{URL}/{second['id']}/reveal")

    made = researcher.post("/api/v1/matches/export", json={"arena": True, "name": "Votes"}).json()
    rate = researcher.get(TALLY).json()["pairs"][0]["win_rate"]

    assert (made["items"], made["labels"]) == (1, 1)
    assert made["left_out"] == {"the two conversations had parted before this turn": 1}
    assert (rate["n"], rate["prompts"]) == (2, 1)  # one conversation


def test_the_tally_counts_ones_own_votes(researcher: Client, annotator: Client, ask: Ask) -> None:
    """The tally holds the person's votes; everybody's is a result, which annotators do not see; people can be drawn
    anew instead of prompts, if there are several."""
    for client in (researcher, annotator):
        for prompt in ("one", "two"):  # the second one ends the first one's blindness
            battle = ask(client, prompt)
            ballot(client, battle["id"], {"both_bad": True})
        client.post(f"{URL}/{battle['id']}/reveal")

    mine = annotator.get(TALLY).json()
    everybody = researcher.get(TALLY, params={"mine": False}).json()
    people = researcher.get(TALLY, params={"mine": False, "cluster": "person"}).json()
    later = researcher.get(TALLY, params={"since": "2999-01-01T00:00:00Z"}).json()

    assert (mine["votes"], everybody["votes"], later["votes"]) == (2, 4, 0)
    (row,) = everybody["pairs"]
    rate = row["win_rate"]
    assert (row["both_bad"], rate["rate"], rate["n"], rate["prompts"], rate["ties"]) == (4, 0.5, 4, 2, 4)
    assert (everybody["ranking"], everybody["cluster"]) == (None, "prompt")  # of two, the rate says it all
    assert people["pairs"][0]["win_rate"]["prompts"] == 2
    assert annotator.get(TALLY, params={"mine": False}).status_code == 403
    assert researcher.get(TALLY, params={"cluster": "person"}).status_code == 422


def test_the_ranking_of_three(researcher: Client, ask: Ask, three: list[str]) -> None:
    """Who always came first has no finite strength: that is told, with who is apart; once everybody has won and lost
    the strengths stand in their order, with bounds where there are prompts enough."""

    def rank(number: int, places: dict[str, int]) -> None:
        asked = ask(researcher, f"Prompt {number}", contestants=3, checkpoints=three)
        with transaction() as session:
            matches = session.query(Match).count()
        shown = _order(asked["id"])
        groups = [[shown.index(one)] for one in sorted(three, key=lambda one: places[one])]
        assert ballot(researcher, asked["id"], {"ranking": groups}).status_code == 201
        researcher.post(f"{URL}/{asked['id']}/reveal")
        with transaction() as session:
            assert session.query(Match).count() == matches + 3

    usual = {one: place for place, one in enumerate(three)}
    for number in range(2):
        rank(number, usual)
    apart = researcher.get(TALLY).json()["ranking"]
    assert apart["standings"] == []
    assert "No ranking" in apart["reason"]
    assert sorted(len(group) for group in apart["groups"]) == [1, 1, 1]

    for number in range(2, 11):
        rank(number, {one: -place for one, place in usual.items()} if number in {3, 6, 9} else usual)
    found = researcher.get(TALLY).json()
    assert [one["contestant"] for one in found["ranking"]["standings"]] == three
    assert (found["votes"], found["ranking"]["n"], found["ranking"]["prompts"]) == (11, 33, 11)
    assert found["ranking"]["standings"][0]["low"] < found["ranking"]["standings"][0]["strength"]
    assert found["ranking"]["styled"] is None


def _order(battle_id: str) -> list[str]:
    with transaction() as session:
        return session.get_one(Battle, uuid.UUID(battle_id)).contestants
