"""Public benchmarks beside an evaluation: what the report says of them, and an evaluation of nothing else."""

from typing import Any

import pytest

from backend.db import transaction
from backend.evaluations import benchmarks
from backend.evaluations.models import Evaluation
from backend.evaluations.said import Rule
from tests import contest
from tests.backend.evaluations.conftest import Body
from tests.conftest import Client

SAMPLES = {f"sums/{number}": float(number % 2) for number in range(40)}


def told(scores: dict[str, float] | None, value: float, **more: Any) -> dict[str, Any]:
    own = {"metric": "acc", "higher_is_better": True, "value": value, "stderr": 0.05, "n": 40}
    return own | {"samples": scores or {}} | more


def evaluated(tasks: dict[str, tuple[dict[str, Any], dict[str, Any]]]) -> Evaluation:
    ids = ["00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"]
    found = {one: {task: both[place] for task, both in tasks.items()} for place, one in enumerate(ids)}
    return Evaluation(contestants=ids, harness={"tasks": list(tasks)}, measured=found)


def test_changes_are_by_sample_where_scores_are_known() -> None:
    """By sample the change of 40 right answers is sure; from both errors it is wider; a perplexity has no bounds of a
    share, and equal samples tell no error."""
    better = dict.fromkeys(SAMPLES, 1.0)
    rows = benchmarks.read(
        evaluated(
            {
                "sums": (told(SAMPLES, 0.5), told(better, 1.0, stderr=0.0)),
                "facts": (told(None, 0.5), told(None, 0.6)),
                "text": (told(None, 9.0, higher_is_better=False), told(None, 90.0, higher_is_better=False)),
            }
        ),
        Rule(),
    )

    assert [row.task for row in rows] == ["sums", "sums", "facts", "facts", "text", "text"]
    base, sums, _, facts, _, text = rows
    assert base.change is None
    assert [base.low, base.high] == pytest.approx([0.402, 0.598], abs=1e-3)
    assert (sums.change, sums.paired, sums.reason) == (0.5, True, benchmarks.ALIKE)
    assert sums.low is None
    assert sums.change_low is not None
    assert sums.change_low > 0.3
    assert facts.change == pytest.approx(0.1)
    assert not facts.paired
    assert facts.change_low is not None
    assert facts.change_low < 0
    assert (text.change, text.change_low, text.higher_is_better) == (81.0, None, False)


def test_the_report_tells_them(researcher: Client) -> None:
    """In the report and in the report as a file; nothing where nothing was measured."""
    made = contest.make(2)
    path = f"/api/v1/evaluations/{made.id}/report"
    assert researcher.get(path).json()["measured"] == []
    with transaction() as session:
        row = session.get_one(Evaluation, made.id)
        row.harness = {"tasks": ["sums"], "limit": 40, "num_fewshot": None, "chat_template": False}
        row.measured = {str(one): {"sums": told(SAMPLES, 0.5)} for one in made.contestants[:2]}

    base, other = researcher.get(path).json()["measured"]

    assert (base["contestant"], other["contestant"]) == tuple(map(str, made.contestants[:2]))
    assert (base["change"], other["change"], other["change_low"] < 0 < other["change_high"]) == (None, 0, True)
    page = researcher.get(f"{path}.html").text
    assert "Public benchmarks" in page
    assert "sums" in page


def test_an_evaluation_of_nothing_else(researcher: Client, body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    """No prompt is asked where tasks are named; without tasks one is needed."""
    nothing = body | {"prompts": {"texts": []}}
    refused = researcher.post("/api/v1/evaluations", json=nothing)
    assert (refused.status_code, refused.json()["field"]) == (422, "prompts.texts")
    monkeypatch.setattr("backend.evaluations.harness.installed", lambda: True)

    made = researcher.post("/api/v1/evaluations", json=nothing | {"harness": {"tasks": ["sums", "facts"]}}).json()

    assert (made["prompts"]["count"], made["total"], made["harness"]["tasks"]) == (0, 4, ["sums", "facts"])
    report = researcher.get(f"/api/v1/evaluations/{made['id']}/report").json()
    assert (report["matches"], report["warnings"]) == (0, [])
