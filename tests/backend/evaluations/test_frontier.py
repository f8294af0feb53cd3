"""Reward against KL of a whole evaluation: points, the front, runs at one KL, and what may stand beside it."""

import math
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from backend.db import transaction
from backend.evaluations.models import Evaluation, Match, TokenScores
from tests import contest
from tests.conftest import Client

Read = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(researcher: Client) -> Read:
    def read(made: contest.Contest, **wanted: Any) -> dict[str, Any]:
        answer = researcher.get(f"/api/v1/evaluations/{made.id}/frontier", params=wanted)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    return read


def test_points_front_and_runs_at_one_kl(ask: Read, clean: None) -> None:
    """Nothing without KL; then the report's rates against it, the baseline at 0, and two runs where both have been."""
    made = contest.make()
    assert ask(made)["reason"].startswith("KL is not measured yet")
    contest.read_tokens(made)

    found = ask(made)
    assert (found["estimator"], found["judge"], found["rewards"]) == (
        "exact",
        "rules",
        ["win", "score:brief", "score:reward"],
    )
    base, *moved = found["points"]
    assert (base["kl"]["value"], base["reward"]["value"], base["front"]) == (0, 0.5, True)
    assert [one["kl"]["value"] for one in moved] == pytest.approx([2, 3, 4, 5, 6])
    assert all(one["kl"]["low"] < one["kl"]["value"] < one["kl"]["high"] for one in moved)
    rewards = [one["reward"]["value"] for one in found["points"]]
    assert [one["front"] for one in found["points"]] == [
        all(other < own for other in rewards[:place]) for place, own in enumerate(rewards)
    ]
    assert set(found["began"]) == {str(one) for one in made.runs}
    (pair,) = found["matched"]
    assert {pair["first"], pair["second"]} == {str(one) for one in made.runs}
    assert (pair["least"], pair["most"], pair["at"], pair["prompts"], pair["reason"]) == (0, 4, 2, 24, None)
    assert pair["low"] < pair["difference"] < pair["high"]
    assert pair["difference"] == pytest.approx(pair["first_reward"] - pair["second_reward"])

    at = ask(made, at=3, reward="score:reward")
    (first,) = at["matched"]
    side = "first" if first["first"] == at["points"][2]["run_id"] else "second"
    assert first[f"{side}_reward"] == pytest.approx(at["points"][2]["reward"]["value"])
    assert "Not both reach" in ask(made, at=4.5)["matched"][0]["reason"]


def test_old_readings_count_by_their_log_ratios(ask: Read, clean: None) -> None:
    """Where one answer's divergence is not known, all are told by the log-ratio, and a sentence says so."""
    made = contest.make()
    contest.read_tokens(made)
    with transaction() as session:
        row = session.scalars(select(TokenScores)).first()
        assert row is not None
        row.result = {name: value for name, value in (row.result or {}).items() if name != "kl"}
    found = ask(made)
    assert found["estimator"] == "k1"
    assert "log-ratio" in found["warnings"][0]
    assert found["points"][1]["kl"]["value"] == pytest.approx(2)


def test_other_evaluations_join_where_they_can_be_compared(ask: Read, researcher: Client, clean: None) -> None:
    """Same prompts, sampling, judge, baseline and reference; else a sentence each. Nothing of nowhere joins."""
    made, other = contest.make(), contest.make(seed=1)
    contest.read_tokens(made)
    names = {one["name"]: one["reason"] for one in ask(made, others=[str(other.id)])["unjoined"]}
    assert names == {"Two runs <against> the base": "Its win rates are against another baseline."}
    score = ask(made, others=[str(other.id)], reward="score:reward")["unjoined"][0]["reason"]
    assert score == "KL to this reference is not measured there."
    _same_base(other, made)
    joined = ask(made, others=[str(other.id)])
    assert (len(joined["points"]), joined["unjoined"], len(joined["matched"])) == (11, [], 6)
    changes: list[tuple[dict[str, Any], str]] = [
        ({"judge": {"name": "length"}}, "Its judge is another one"),
        ({"sampling": {"temperature": 0.5}}, "drawn with other settings"),
    ]
    for change, words in changes:
        with transaction() as session:
            row = session.get_one(Evaluation, other.id)
            for name, value in change.items():
                setattr(row, name, value)
        assert words in ask(made, others=[str(other.id)])["unjoined"][0]["reason"]
    with transaction() as session:
        session.delete(
            session.scalars(select(Match).where(Match.evaluation_id == other.id, Match.position == 0)).first()
        )
        for match in session.scalars(select(Match).where(Match.evaluation_id == other.id, Match.position == 0)):
            session.delete(match)
    assert "23 of 24 are the same" in ask(made, others=[str(other.id)])["unjoined"][0]["reason"]
    path = f"/api/v1/evaluations/{made.id}/frontier"
    assert researcher.get(path, params={"others": [str(uuid.uuid4())]}).status_code == 404


def test_a_judge_that_goes_by_the_place_gives_no_reward(ask: Read, researcher: Client, clean: None) -> None:
    """Its ties would stand at 50 % for every checkpoint: there is a sentence, here, in the file and beside others whose
    own judge is right; what was measured stands."""
    made, other = contest.make(), contest.make(seed=1)
    contest.read_tokens(made)
    _same_base(other, made)
    contest.by_place(other)
    (unjoined,) = ask(made, others=[str(other.id)])["unjoined"]
    assert unjoined["reason"].startswith("It names the answer that is shown first every time")
    found = ask(other)
    assert (found["points"], found["matched"], found["reason"]) == ([], [], unjoined["reason"])
    assert len(ask(other, reward="score:reward")["points"]) == 6
    page = researcher.get(f"/api/v1/evaluations/{other.id}/report.html").text
    assert unjoined["reason"] in page
    assert "50.0%" not in page
    assert "Reward against KL" not in page
    assert "Reward against KL" in researcher.get(f"/api/v1/evaluations/{made.id}/report.html").text


def _same_base(other: contest.Contest, made: contest.Contest) -> None:
    """The other evaluation met the same baseline, and was read against it."""
    base, old = made.contestants[0], other.contestants[0]
    with transaction() as session:
        for match in session.scalars(select(Match).where(Match.evaluation_id == other.id, Match.checkpoint_a == old)):
            match.checkpoint_a = base
        row = session.get_one(Evaluation, other.id)
        row.contestants = [str(base), *row.contestants[1:]]
    contest.read_tokens(contest.Contest(other.id, [base, *other.contestants[1:]], other.runs))


def test_what_is_refused(anonymous: Client, annotator: Client, researcher: Client, clean: None) -> None:
    """Others may not; unknown words, a KL below 0, too many others are refused; an unknown judge has no points."""
    path = f"/api/v1/evaluations/{contest.make().id}/frontier"
    assert [one.get(path).status_code for one in (anonymous, annotator)] == [401, 403]
    for bad in (
        {"reward": "loss"},
        {"reward": "score:" + "x" * 201},
        {"at": -1},
        {"at": "nan"},
        {"at": math.inf},
        {"others": [str(uuid.uuid4())] * 6},
        {"level": 1},
        {"more": 1},
    ):
        assert researcher.get(path, params=bad).status_code == 422, bad
    made = contest.make()
    contest.read_tokens(made)
    found = researcher.get(f"/api/v1/evaluations/{made.id}/frontier", params={"judge": "nobody"}).json()
    assert (found["points"], found["reason"]) == ([], "No contestant has both a KL and this reward.")
