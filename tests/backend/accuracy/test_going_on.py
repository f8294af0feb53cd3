"""Judges on labelled pairs, stopped and going on: nothing is paid for twice, and what was said counts right."""

import re
import uuid
from typing import Any

import pytest
from sqlalchemy import delete, event, insert, select

from backend.accuracy.models import Accuracy
from backend.datasets.models import Item
from backend.db import get_engine, transaction
from backend.labels.models import Label, LabelSource
from backend.work import State
from tests.backend.accuracy.conftest import KIND, Body, measured
from tests.conftest import Client
from tests.court import BLOCK, Court
from workers import answering
from workers.tasks import accuracies


def go_on(client: Client, row: Body) -> Body:
    """What was stopped at its limit, at its end."""
    path = f"/api/v1/accuracies/{row['id']}"
    answer = client.post(f"{path}/resume", json={"limits": {"tokens": 1_000_000}})
    assert answer.json()["state"] == "queued", answer.text
    accuracies.work()
    found: Body = client.get(path).json()
    assert found["state"] == "succeeded", found
    return found


def test_what_was_said_is_not_asked_again(
    researcher: Client, court: Court, judge: Body, pairs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled, it keeps nothing half; a worker that is told to stop leaves its verdicts to the next one."""
    monkeypatch.setattr(answering, "ASK_SECONDS", 0.0)
    monkeypatch.setattr(accuracies, "VERDICTS_AT_ONCE", 4)
    stopped = False
    monkeypatch.setattr("workers.shutdown.asked", lambda: stopped)

    def verdict(_question: str) -> str:
        nonlocal stopped
        stopped = stopped or len(court.questions) >= 6
        return "B"

    court.verdict = verdict
    row = measured(researcher, pairs, judge, limit=8)
    assert (row["state"], 4 <= row["done"] < 16) == ("queued", True)
    stopped = False
    court.verdict = lambda _question: "B"
    accuracies.work()
    assert researcher.get(f"/api/v1/accuracies/{row['id']}").json()["state"] == "succeeded"
    assert len(court.questions) == len(set(court.questions)) == 16

    made = researcher.post(f"/api/v1/datasets/{pairs}/accuracies", json={"judge": judge}).json()
    assert researcher.post(f"/api/v1/accuracies/{made['id']}/cancel").json()["state"] == "cancelled"
    accuracies.work()
    with transaction() as session:
        assert session.get_one(Accuracy, uuid.UUID(made["id"])).state is State.cancelled


def test_a_judge_stops_at_its_limit_and_goes_on(researcher: Client, court: Court, judge: Body, pairs: str) -> None:
    """Before the next request could go beyond the limit it stops and says what it took; with a higher one it goes on
    with the pairs that are not decided, and nothing is paid for twice."""
    path = f"/api/v1/datasets/{pairs}/accuracies"
    for limits, field in (
        ({"money": 1}, "limits.money"),
        ({"tokens": -1}, "limits.tokens"),
        ({"much": 1}, "limits.much"),
    ):
        answer = researcher.post(path, json={"judge": judge, "limits": limits})
        assert (answer.status_code, answer.json()["field"]) == (422, field)
    court.habits.usage = {"prompt_tokens": 1_000, "completion_tokens": 5}
    court.verdict = lambda _question: "B"

    row = measured(researcher, pairs, judge, limit=8, limits={"tokens": 8_000})

    assert (row["state"], 0 < row["done"] < 16) == ("cancelled", True), row
    assert row["reason"].startswith("Stopped at its limit of 8,000 tokens")
    assert row["spent"]["requests"] == len(court.questions) == row["done"]
    assert row["spent"]["read"] + row["spent"]["written"] <= 8_000
    again = f"/api/v1/accuracies/{row['id']}/resume"
    assert researcher.post(again, json={"limits": {"tokens": None, "money": 2}}).json()["field"] == "limits.money"
    assert researcher.post(again, json={"limits": {"tokens": 100_000}}).json()["state"] == "queued"
    accuracies.work()
    found = researcher.get(f"/api/v1/accuracies/{row['id']}").json()
    assert (found["state"], found["done"], found["spent"]["requests"]) == ("succeeded", 16, 16)
    assert len(court.questions) == len(set(court.questions)) == 16
    assert researcher.post(again).json()["title"] == "Not stopped"


def test_a_verdict_costs_the_same_however_many_there_are(
    researcher: Client, court: Court, judge: Body, pairs: str
) -> None:
    """Each is a row of its own, so what is written for the first and the last one is alike; a pair that was taken away
    meanwhile is left out when it goes on, and the others are not asked again."""
    court.habits.usage = {"prompt_tokens": 1_000, "completion_tokens": 5}
    court.verdict = lambda _question: "B"
    written: list[int] = []

    @event.listens_for(get_engine(), "before_cursor_execute")
    def sent(_c: Any, _cursor: Any, statement: str, values: Any, _context: Any, _many: bool) -> None:
        if re.match(r"(INSERT INTO|UPDATE) accurac", statement):
            written.append(len(str(values)))

    try:
        row = measured(researcher, pairs, judge, limits={"tokens": 70_000})
    finally:
        event.remove(get_engine(), "before_cursor_execute", sent)
    assert (row["state"], 50 < row["done"] < 80) == ("cancelled", True), row
    assert max(written) < 1_000, "nothing that is written grows with the verdicts"

    with transaction() as session:
        session.execute(delete(Item).where(Item.dataset_id == uuid.UUID(pairs), Item.position == 0))
    again = f"/api/v1/accuracies/{row['id']}/resume"
    assert researcher.post(again, json={"limits": {"tokens": 1_000_000}}).json()["state"] == "queued"
    accuracies.work()
    found = researcher.get(f"/api/v1/accuracies/{row['id']}").json()
    assert (found["state"], found["done"], found["total"]) == ("succeeded", 78, 78), found
    assert found["result"]["parts"][0]["accuracy"]["n"] == 39
    assert len(court.questions) == len(set(court.questions)) <= 80


def test_one_pair_taken_away_draws_one_other(researcher: Client, court: Court, judge: Body, pairs: str) -> None:
    """Of more pairs than are asked for, one of those drawn goes meanwhile: the others stay drawn, so that one new
    pair at most is asked, in both orders."""
    court.habits.usage = {"prompt_tokens": 1_000, "completion_tokens": 5}
    court.verdict = lambda _question: "B"
    row = measured(researcher, pairs, judge, limit=10, limits={"tokens": 8_000})
    assert 4 <= row["done"] < 20, row
    before = set(court.questions)
    with transaction() as session:
        items = session.scalars(select(Item).order_by(Item.position)).all()
        told = {item.id: sum(item.prompt[-1]["content"] in question for question in before) for item in items}
        gone = next(item for item, times in told.items() if times)
        session.execute(delete(Item).where(Item.id == gone))

    found = go_on(researcher, row)

    assert (found["done"], found["total"]) == (20, 20)
    assert len(court.questions) == len(set(court.questions)) == 20 + told[gone]


def test_labels_that_turn_meanwhile(researcher: Client, court: Court, judge: Body, pairs: str) -> None:
    """People come to prefer the other response of every pair between two halves of the work: what was said of the one
    counts for the other, in the first half as in the second."""
    court.habits.usage = {"prompt_tokens": 1_000, "completion_tokens": 5}

    def thankful(question: str) -> str:
        first, _ = (text for _, text in BLOCK.findall(question))
        return "A" if first.startswith(KIND) else "B"

    court.verdict = thankful
    row = measured(researcher, pairs, judge, limit=8, limits={"tokens": 8_000})
    assert 4 <= row["done"] < 16, row
    with transaction() as session:
        turned = [
            {
                "project_id": item.project_id, "item_id": item.id, "dataset_id": item.dataset_id,
                "source": LabelSource.adjudication, "value": {"strength": -1},
            }
            for item in session.scalars(select(Item))
        ]  # fmt: skip
        session.execute(insert(Label), turned)

    result = go_on(researcher, row)["result"]

    every = result["parts"][0]["accuracy"]
    assert (every["n"], every["wins"], every["losses"]) == (8, 0, 8), "it is wrong about every pair by now"
    assert (result["consistency"]["rate"], result["shown_first"]["rate"]) == (1.0, 0.5)
