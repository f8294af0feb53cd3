"""The report card of a judge: what is told of those whose habits are known, and sentences where nothing can be."""

import uuid
from typing import Any

import pytest

from backend.db import transaction
from backend.evaluations.models import Evaluation
from tests.conftest import Client
from tests.judged import judged, right

pytestmark = pytest.mark.usefixtures("clean")


def card(client: Client, evaluation: str, **asked: Any) -> Any:
    answer = client.get(f"/api/v1/evaluations/{evaluation}/judge", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def words(found: Any) -> str:
    return " ".join(one["text"] for one in found["words"])


def test_a_good_judge(researcher: Client) -> None:
    """One that is right and as sure as right: consistent, agreeing, calibrated; nothing speaks against it."""
    found = card(researcher, judged(right, people=60))

    assert (found["matches"], found["prompts"], found["verdicts"]) == (80, 80, 160)
    assert found["consistency"]["rate"] > 0.6
    assert found["shown_first"]["rate"] == pytest.approx(0.5, abs=0.15)
    assert found["agreement"]["n"] == 60
    assert found["agreement"]["low"] < found["agreement"]["value"] < found["agreement"]["high"]
    assert found["kappa"]["value"] > 0.4
    calibration = found["calibration"]
    assert calibration["error"] <= calibration["by_chance"] + 0.1
    assert sum(one["n"] for one in calibration["bins"]) == 60
    assert found["self_preference"]["reason"]
    assert found["dissection"]["n"] == 160
    assert all(one["kind"] != "bad" for one in found["words"])


def test_one_that_always_says_the_first(researcher: Client) -> None:
    """It is told plainly that its win rates mean nothing."""
    found = card(researcher, judged(lambda case: 0.0 if case.swapped else 1.0))

    assert found["shown_first"]["rate"] == 1
    assert found["consistency"]["rate"] == 0
    assert found["words"][0]["kind"] == "bad"
    assert "shown first every time" in found["words"][0]["text"]


def test_one_that_likes_length_and_lists(researcher: Client) -> None:
    """The longer answer wins, and the regression on what is counted foretells its verdicts."""
    found = card(researcher, judged(lambda case: float(case.longer == (case.luck < 0.85))))

    assert found["longer"]["low"] > 0.5
    assert "longer answer wins" in words(found)
    assert found["dissection"]["foretold"]["rate"] > 0.68
    assert {one["name"] for one in found["dissection"]["likings"]} >= {"length", "lists", "shown first"}
    assert found["calibration"]["reason"]  # nobody judged
    assert "Nobody has judged" in words(found)


def test_one_that_says_nothing(researcher: Client) -> None:
    """Verdicts that cannot be read are counted and told, and there is no rate."""
    found = card(researcher, judged(lambda _: None))

    assert found["undecided"] == {"The reply holds no verdict.": 160}
    assert found["shown_first"]["rate"] is None
    assert "None of its 160 verdicts" in words(found)


def test_little_is_told_of_one_match_and_nothing_of_none(researcher: Client) -> None:
    """One match, and a judge that was never asked, have a sentence."""
    assert "one match only" in words(card(researcher, judged(right, prompts=1)))
    assert "judged no match yet" in words(card(researcher, judged(right, prompts=1), judge="nobody"))


def test_its_own_answers(researcher: Client) -> None:
    """A judge that lets its own model win is told to, by how much more than people do."""
    evaluation = judged(lambda _: 1.0, people=60, judge="llm")
    with transaction() as session:
        row = session.get_one(Evaluation, uuid.UUID(evaluation))
        row.judge = {"name": "llm", "checkpoint": row.contestants[0]}
    found = card(researcher, evaluation)

    own = found["self_preference"]
    assert own["n"] == 60
    assert own["score"] == pytest.approx(1 - own["gold"])
    assert own["low"] > 0.3
    assert "own model's answers" in words(found)


def test_over_a_project_the_same_judge_is_one(researcher: Client) -> None:
    """Evaluations with the same settings of the judge count together, others do not."""
    one, _, other = judged(right), judged(right), judged(right, max_words=3)

    assert card(researcher, one, scope="project")["evaluations"] == 2
    assert card(researcher, one, scope="project")["matches"] == 160
    assert card(researcher, one, scope="project")["prompts"] == 80
    assert card(researcher, other, scope="project")["matches"] == 80
