"""What answers are like, through the API: of each contestant, and against the baseline on the same prompts."""

import uuid
from typing import Any

import pytest

from backend.db import transaction
from backend.evaluations import meters
from backend.evaluations.models import Evaluation, Match
from tests.backend.evaluations.conftest import Body
from tests.conftest import Client


@pytest.fixture
def written(evaluated: Body) -> Body:
    """The evaluation with answers of known words: the second contestant says everything twice, and failed once."""
    base, _ = (uuid.UUID(one["id"]) for one in evaluated["contestants"])
    with transaction() as session:
        for match in session.query(Match).where(Match.evaluation_id == uuid.UUID(evaluated["id"])):
            words = " ".join(f"w{match.position}x{place}" for place in range(4 + match.position % 3))
            short: dict[str, Any] = {"content": words, "tokens": 5, "ended": True}
            long: dict[str, Any] = {"content": f"{words} {words}", "tokens": 11, "ended": True}
            if match.position == 3:
                long = {"error": "prompt too long", "detail": "Too long."}
            match.response_a, match.response_b = (short, long) if match.checkpoint_a == base else (long, short)
    return evaluated


def test_meters_of_contestants(researcher: Client, written: Body) -> None:
    """Who says everything twice is twice as long and half as varied; what failed counts for nobody's difference."""
    found = researcher.get(f"/api/v1/evaluations/{written['id']}/meters").json()

    base, other = found["contestants"]
    assert (found["prompts"], found["of"], base["against"]) == (12, 12, {})
    assert [one["meters"]["tokens"]["n"] for one in (base, other)] == [12, 11]
    assert base["meters"]["tokens"]["value"] == 5
    assert base["meters"]["words"]["low"] < base["meters"]["words"]["value"] == pytest.approx(5)
    assert (base["meters"]["distinct_1"]["value"], other["meters"]["distinct_1"]["value"]) == (1, 0.5)
    assert base["meters"]["self_bleu"]["value"] == 0
    told = other["against"]
    assert told["tokens"] == {**told["tokens"], "value": 6, "low": None, "prompts": 11, "n": 11}
    assert told["words"]["value"] == pytest.approx(56 / 11)  # position 3 would have four words
    assert told["words"]["low"] > 0
    assert told["repetition"]["value"] > 0


def test_of_many_answers_some_are_read(researcher: Client, written: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bounds whole prompts are left out, the same for everybody, and the answer says of how many."""
    monkeypatch.setattr(meters, "MOST_ANSWERS", 8)
    monkeypatch.setattr(meters, "MOST_LETTERS", 40)
    found = researcher.get(f"/api/v1/evaluations/{written['id']}/meters?level=0.9").json()

    assert found["prompts"] in (1, 2)
    assert (found["of"], found["level"]) == (12, 0.9)
    assert found["contestants"][0]["meters"]["words"]["reason"] is not None


def test_without_answers_there_is_no_number(researcher: Client, body: Body) -> None:
    """An evaluation that has just been launched tells why nothing can be told; so does a contestant that failed."""
    made = researcher.post("/api/v1/evaluations", json=body).json()
    found = researcher.get(f"/api/v1/evaluations/{made['id']}/meters").json()

    assert found["prompts"] == 0
    for one in found["contestants"]:
        assert all(meter["value"] is None and meter["reason"] for meter in one["meters"].values())
    with transaction() as session:
        assert session.get_one(Evaluation, uuid.UUID(made["id"])).state == "queued"
