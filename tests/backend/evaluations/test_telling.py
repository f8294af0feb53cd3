"""The people's queue by what their verdicts tell: which matches come first, and that the report stays true to all."""

from typing import Any

import pytest

from backend.evaluations.report import GUIDED
from tests.backend.evaluations.conftest import vote
from tests.conftest import Client
from tests.judged import Case, judged

pytestmark = pytest.mark.usefixtures("clean")


def doubtful(case: Case) -> float:
    """Sure of most, and of two verdicts of its own in ten."""
    return 0.5 if case.luck < 0.15 else float(case.longer)


def cards(client: Client, evaluation: str, n: int, **more: Any) -> list[Any]:
    answer = client.post(f"/api/v1/evaluations/{evaluation}/cards", json={"n": n, "order": "telling"} | more)
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["cards"]
    return found


def test_the_most_telling_come_first(researcher: Client, annotator: Client) -> None:
    """Each of what the judge called won, tied and lost is judged before more of any; nothing is handed out twice, and
    then the report corrects by all three and says that people's own rate is of other matches.
    """
    evaluation = judged(doubtful, prompts=60)
    judge = {one["id"]: one["score"] for one in _matches(researcher, evaluation)}
    dealt = cards(annotator, evaluation, 9)
    scores = [judge[one["match_id"]] for one in dealt]
    assert all(scores.count(score) == 3 for score in (0.0, 0.5, 1.0))
    again = cards(annotator, evaluation, 9, holding=[one["match_id"] for one in dealt])
    assert not {one["match_id"] for one in again} & {one["match_id"] for one in dealt}

    done = set()
    for _ in range(4):
        for one in cards(annotator, evaluation, 8):
            assert one["match_id"] not in done
            done.add(one["match_id"])
            assert one["guided"]
            assert (
                vote(annotator, one["match_id"], {"strength": 1 if len(done) % 2 else -1}, guided=True).status_code
                == 201
            )
    report = researcher.get(f"/api/v1/evaluations/{evaluation}/report").json()
    (rules,) = (one for one in report["tables"] if one["source"] == "judge")
    corrected = rules["against"][0]["corrected"]
    assert corrected["people"] == 32
    assert corrected["low"] < corrected["rate"] < corrected["high"]
    assert corrected["next"]["guided"] < corrected["next"]["by_lot"] + 0.001 < corrected["next"]["now"]
    assert GUIDED in report["warnings"]


def test_what_was_written_down_counts(researcher: Client, annotator: Client) -> None:
    """One vote on a match that was handed out for what it tells is enough to say so, however even the votes look; votes
    by lot say nothing of the kind."""
    evaluation = judged(doubtful, prompts=12)
    by_lot = cards(annotator, evaluation, 3, order="lot")
    assert not any(one["guided"] for one in by_lot)
    assert vote(annotator, by_lot[0]["match_id"], {"strength": 1}).status_code == 201
    path = f"/api/v1/evaluations/{evaluation}/report"
    assert GUIDED not in researcher.get(path).json()["warnings"]
    (told,) = cards(annotator, evaluation, 1)
    assert vote(annotator, told["match_id"], {"strength": 1}, guided=told["guided"]).status_code == 201
    assert GUIDED in researcher.get(path).json()["warnings"]


def test_people_alone_and_an_unknown_order(researcher: Client, annotator: Client) -> None:
    """Where the judge decided nothing, matches come as they would by lot; another order is refused."""
    evaluation = judged(lambda _: None, prompts=5)

    assert len(cards(annotator, evaluation, 3)) == 3
    answer = annotator.post(f"/api/v1/evaluations/{evaluation}/cards", json={"n": 1, "order": "worst"})
    assert answer.status_code == 422
    assert cards(researcher, evaluation, 3)


def _matches(client: Client, evaluation: str) -> list[Any]:
    found: list[Any] = client.get(f"/api/v1/evaluations/{evaluation}/matches", params={"limit": 200}).json()["items"]
    return found
