"""What a model has answered or judged is never paid for again: not by a second evaluation, nor after a kill."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from backend.db import transaction
from backend.evaluations import service
from backend.evaluations.models import Match
from tests.conftest import Client
from tests.court import JUDGE, LONG, SHORT, Court
from workers.tasks import evaluate

pytestmark = pytest.mark.usefixtures("warm")

Body = dict[str, Any]
PROMPTS = 4
PAID = {"answers": 2 * PROMPTS, "verdicts": 2 * PROMPTS}


def registered(client: Client, court: Court, **facts: Any) -> Body:
    """A body of POST /evaluations with the three models of the court."""
    ids = {}
    for model in (JUDGE, SHORT, LONG):
        made = client.post("/api/v1/endpoints", json={"base_url": court.habits.url, "model": model, **facts})
        assert made.status_code == 201, made.text
        ids[model] = made.json()["id"]
    court.habits.asked.clear()
    return {
        "name": "Paid",
        "contestants": [ids[SHORT], ids[LONG]],
        "prompts": {"texts": [f"What is the sea, number {number}?" for number in range(PROMPTS)]},
        "judge": {"name": "llm", "checkpoint": ids[JUDGE]},
        "sampling": {"max_new_tokens": 8},
    }


@pytest.fixture
def body(researcher: Client, court: Court) -> Body:
    return registered(researcher, court)


def run(client: Client, body: Body) -> Body:
    """The evaluation once it has ended."""
    made = client.post("/api/v1/evaluations", json=body)
    assert made.status_code == 202, made.text
    evaluate.work()
    found: Body = client.get(f"/api/v1/evaluations/{made.json()['id']}").json()
    return found


def sized(client: Client, body: Body) -> Body:
    found = client.post("/api/v1/evaluations/preflight", json=body)
    assert found.status_code == 200, found.text
    size: Body = found.json()
    return size


def rates(client: Client, evaluation: Body) -> list[Body]:
    tables = client.get(f"/api/v1/evaluations/{evaluation['id']}/report").json()["tables"]
    return [pair["win_rate"] for table in tables for pair in table["pairs"]]


def test_a_second_evaluation_asks_nothing(researcher: Client, court: Court, body: Body) -> None:
    """The same contestants on the same prompts cost nothing more; said before launch and on the page."""
    assert sized(researcher, body)["taken"] == {"answers": 0, "verdicts": 0}
    first = run(researcher, body)
    assert first["state"] == "succeeded"
    paid = len(court.habits.asked)
    assert paid == sum(PAID.values())

    before = sized(researcher, body)
    second = run(researcher, body | {"contestants": body["contestants"][::-1]})

    assert (before["taken"], before["cost"]["requests"]) == (PAID, 0)
    assert len(court.habits.asked) == paid
    assert (second["taken"], second["done"], second["total"]) == (PAID, 16, 16)
    (one,), (other,) = rates(researcher, first), rates(researcher, second)
    assert (one["rate"], other["rate"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        ({"reuse": False}, 16),
        ({"seed": 1}, 8),  # other answers by word, the same by content: their verdicts are known
        ({"prompts": {"texts": ["What is the sea, number 0?", "Another one"]}}, 2 + 2),
    ],
)
def test_only_what_is_new_is_asked(researcher: Client, court: Court, body: Body, change: Body, asked: int) -> None:
    """Drawn anew, with another seed, on other prompts: what is paid for is what earlier evaluations do not hold."""
    run(researcher, body)
    court.habits.asked.clear()
    assert run(researcher, body | change)["state"] == "succeeded"
    assert len(court.habits.asked) == asked


def test_another_question_to_the_judge(researcher: Client, court: Court, body: Body) -> None:
    """Another template is another judge: the answers are taken, its verdicts are not."""
    run(researcher, body)
    court.habits.asked.clear()
    run(researcher, body | {"judge": body["judge"] | {"explain": False}})
    assert len(court.habits.asked) == len(court.questions) == PAID["verdicts"]


def test_what_a_rule_deleted_is_not_found(researcher: Client, court: Court, body: Body) -> None:
    """Answers that a retention rule removed from matches are asked for again."""
    run(researcher, body)
    with transaction() as session:
        for match in session.query(Match):
            match.response_a = match.response_b = {"error": "removed", "detail": "Deleted by a rule."}
    assert sized(researcher, body)["taken"]["answers"] == 0


def test_nothing_crosses_projects(admin: Client, researcher: Client, court: Court, body: Body) -> None:
    """Another project's answers are not found, though the model and the prompts are the same."""
    run(researcher, body)
    project = admin.post("/api/v1/projects", json={"name": "Elsewhere"}).json()["id"]
    admin.headers["plumbline-project"] = project
    other = registered(admin, court)
    assert sized(admin, other)["taken"] == {"answers": 0, "verdicts": 0}


def swept() -> bool:
    with transaction() as session:
        return bool(service.sweep(session))


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline


def test_a_killed_worker_pays_nothing_twice(researcher: Client, court: Court) -> None:
    """kill -9 in the middle: what had come is kept, so that all requests are those needed and the one under way."""
    body = registered(researcher, court, concurrency=1)
    say, held, free = court._say, threading.Event(), threading.Event()

    def slowly(asked: Body) -> str:
        if len(court.habits.asked) == 12 and not held.is_set():  # all answers are there, and three verdicts
            held.set()
            free.wait(30)
        return say(asked)

    court.habits.says = slowly
    made = researcher.post("/api/v1/evaluations", json=body).json()["id"]
    environment = os.environ | {"PLUMBLINE_ALLOWED_ADDRESSES": "127.0.0.1"}
    worker = subprocess.Popen(
        [sys.executable, "-c", "from workers.tasks import evaluate; evaluate.work()"], env=environment
    )
    assert held.wait(60)
    until(lambda: researcher.get(f"/api/v1/evaluations/{made}").json()["done"] == 11)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    free.set()
    until(swept)

    evaluate.work()

    found = researcher.get(f"/api/v1/evaluations/{made}").json()
    assert (found["state"], found["done"]) == ("succeeded", 16)
    assert len(court.habits.asked) == 16 + 1
