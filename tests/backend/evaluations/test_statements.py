"""Evaluations from which little can be told say so, in the answer and the file, and show no number that looks fine."""

from collections.abc import Callable
from typing import Any

from backend.evaluations import statements
from tests.backend.evaluations.conftest import ANNOTATION, BATTLE, TALK
from tests.conftest import Client

Body = dict[str, Any]
Import = Callable[..., Body]


def battle(a: str, b: str, number: int, winner: str = "model_b") -> Body:
    return BATTLE | {"model_a": a, "model_b": b, "winner": winner, "question_id": f"q{number}"}


def page(client: Client, report: Body) -> str:
    return client.get(f"/api/v1/evaluations/{report['evaluation']['id']}/report.html").text


def test_one_match(researcher: Client, imported: Import) -> None:
    """Who won stands there, and no rate, no test, no curve."""
    report = imported([ANNOTATION])
    (table,) = report["tables"]
    (pair,) = table["pairs"]
    assert table["statements"] == [statements.ONE_MATCH]
    assert (pair["win_rate"]["rate"], pair["win_rate"]["low"], pair["win_rate"]["wins"]) == (None, None, 1)
    assert pair["win_rate"]["reason"] == statements.ALONE
    assert (table["against"], table["by_step"], table["clean"]) == ([], [], [])
    assert statements.ONE_MATCH in page(researcher, report)


def test_nothing_could_be_read(researcher: Client, imported: Import) -> None:
    """A judge whose every verdict came to nothing is told to be mended; its card says so too."""
    games = [{"score": None}, {"score": "garbage"}]
    rows = [{"question_id": f"q{n}", "model": "m", "judge": "g", "games": games} for n in range(12)]
    report = imported(rows)
    (table,) = report["tables"]
    (said,) = table["statements"]
    assert said.startswith("None of its 24 verdicts names a winner or a tie (most of all: no verdict in the file)")
    assert all(pair["win_rate"]["rate"] is None for pair in table["pairs"])
    assert (table["shown_first"]["rate"], table["consistency"]["rate"]) == (None, None)
    assert said in page(researcher, report)
    card = researcher.get(f"/api/v1/evaluations/{report['evaluation']['id']}/judge").json()
    assert [one["kind"] for one in card["words"]] == ["bad"]
    assert "24" in card["words"][0]["text"]


def test_a_judge_that_goes_by_the_place(researcher: Client, imported: Import) -> None:
    """One that always says A turns every match into a tie: there is no rate, no test and no ranking that look like
    equals, but a sentence, in the report and in its file."""
    rows = [
        {"question_id": f"q{n}", "model": model, "judge": "g", "games": [{"score": "A>B"}, {"score": "A>B"}]}
        for n in range(12)
        for model in ("m", "other")
    ]
    report = imported(rows)
    (table,) = report["tables"]
    said, apart = table["statements"]
    assert apart == f"other and m: {statements.APART}"
    assert said.startswith("It names the answer that is shown first every time, whatever it says.")
    assert {(pair["win_rate"]["rate"], pair["win_rate"]["low"]) for pair in table["pairs"]} == {(None, None)}
    assert {pair["mean_probability"] for pair in table["pairs"]} == {None}
    assert {pair["win_rate"]["reason"] for pair in table["pairs"]} == {said, statements.APART}
    assert (table["against"], table["ranking"], table["shown_first"]["rate"]) == ([], None, 1.0)
    assert said in page(researcher, report)


def test_no_prompt_in_common_and_two_islands(researcher: Client, imported: Import) -> None:
    """Pairs that never met are named; contestants that no match ties together are not ranked together."""
    wins = ("model_a", "model_b")
    rows = [battle("a", "b", n, wins[n % 2]) for n in range(12)] + [battle("c", "d", n, wins[n % 2]) for n in range(12)]
    report = imported(rows, baseline="a")
    (table,) = report["tables"]
    apart = [pair for pair in table["pairs"] if pair["win_rate"]["reason"] == statements.APART]
    assert len(apart) == 4
    assert all(pair["win_rate"]["rate"] is None for pair in apart)
    met, islands = table["statements"]
    assert met.endswith(f"and 1 more: {statements.APART}")
    assert islands.startswith("No ranking of all of them exists")
    assert islands.endswith("a, b | c, d.")
    assert table["ranking"]["standings"] == []
    whole = page(researcher, report)
    assert "a, b | c, d." in whole
    assert statements.APART in whole
    meters = researcher.get(f"/api/v1/evaluations/{report['evaluation']['id']}/meters").json()
    assert all(one["value"] is None for own in meters["contestants"] for one in own["meters"].values())


def test_contestants_that_met_through_others_alone(imported: Import) -> None:
    """A ranking stands, and the pair without a common prompt is told."""
    wins = ("model_a", "model_b", "tie")
    talk = {"conversation_a": TALK, "conversation_b": TALK}
    rows = [battle(a, b, n, wins[n % 3]) | talk for a, b in (("a", "b"), ("b", "c")) for n in range(12)]
    report = imported(rows, baseline="a")
    (table,) = report["tables"]
    assert table["statements"] == [f"c and a: {statements.APART}"]
    assert len(table["ranking"]["standings"]) == 3
    assert [row["contestant"] for row in table["against"]] == [report["contestants"][1]["id"]]
