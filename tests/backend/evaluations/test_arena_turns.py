"""Conversations of several turns in the arena, and the list of them."""

import uuid

import pytest

from backend.db import transaction
from backend.evaluations import arena as service
from backend.evaluations.models import Battle
from tests.backend.evaluations.conftest import Ask, ballot, go_on
from tests.conftest import Client
from tests.queries import counted

URL = "/api/v1/arena/battles"


def test_every_contestant_keeps_its_own_history(researcher: Client, ask: Ask, three: list[str]) -> None:
    """The second turn is answered after the contestant's own first answer, under the same names, and the earlier turn
    stands before it; a vote between does not end the conversation, the names do."""
    first = ask(researcher, "Tell me about tea.", contestants=3)
    ballot(researcher, first["id"], {"best": 0})
    second = go_on(researcher, first, "And about coffee?")

    (turn,) = second["before"]
    assert (turn["battle_id"], turn["answers"], turn["vote"]) == (first["id"], first["answers"], {"best": 0})
    assert (second["turn"], second["conversation_id"]) == (2, first["id"])
    with transaction() as session:
        battle = session.get_one(Battle, uuid.UUID(second["id"]))
        told = service.histories(service.conversation(session, battle), battle)
    for own, answer in zip(told, first["answers"], strict=True):
        assert [one["role"] for one in own] == ["user", "assistant", "user"]
        assert own[1]["content"] == answer["text"]
    again = researcher.post(f"{URL}/{first['id']}/turns", json={"text": "Once more"})
    assert again.json()["title"] == "Already gone on"
    ballot(researcher, second["id"], {"both_bad": True})
    researcher.post(f"{URL}/{second['id']}/reveal")
    after = researcher.post(f"{URL}/{second['id']}/turns", json={"text": "Who are you?"})
    assert after.json()["title"] == "Names are known"
    assert len(researcher.get(f"{URL}/{first['id']}").json()["names"]) == 3


def test_a_turn_that_was_stopped_is_replaced(researcher: Client, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Going on again from the turn before takes the place of one without answers; turns are limited."""
    first = ask(researcher)
    stopped = researcher.post(f"{URL}/{first['id']}/turns", json={"text": "A slip"}).json()
    assert researcher.post(f"{URL}/{first['id']}/turns", json={"text": "Other"}).status_code == 409
    researcher.post(f"{URL}/{stopped['id']}/cancel")

    second = go_on(researcher, first, "What I meant")
    assert researcher.get(f"{URL}/{stopped['id']}").status_code == 404
    monkeypatch.setattr(service, "MOST_TURNS", 2)
    refused = researcher.post(f"{URL}/{second['id']}/turns", json={"text": "And more"})
    assert refused.json()["title"] == "Too many turns"
    assert researcher.post(f"{URL}/{second['id']}/turns", json={"text": " "}).status_code == 422


def test_the_list_takes_few_queries(researcher: Client, ask: Ask) -> None:
    """A page of battles costs as many statements as one of three."""
    counts = []
    for _ in range(2):
        battle = ask(researcher)
        ballot(researcher, battle["id"], {"strength": 1})
        researcher.post(f"{URL}/{battle['id']}/reveal")
        ask(researcher)
        with counted() as statements:
            items = researcher.get(URL).json()["items"]
        counts.append(len(statements))

    assert counts[0] == counts[1]
    for item in items:
        assert item == researcher.get(f"{URL}/{item['id']}").json()
    assert sum(item["names"] is not None for item in items) == 2
