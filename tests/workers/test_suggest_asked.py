"""Suggestions by a judge behind an endpoint: asked in both orders, paid for once, stopped at its limit."""

from typing import Any

import pytest
from sqlalchemy import select, update

from backend.datasets.models import Item as ItemRow
from backend.datasets.models import Kind
from backend.db import transaction
from tests.backend.tasks.conftest import API, asked, deal, make_task
from tests.conftest import Client
from tests.court import JUDGE, Court, longer
from tests.workers.test_suggest import Body, add_items, ask, pairs, read, suggested
from workers import suggesting
from workers.tasks import suggest


def registered(client: Client, court: Court, **facts: Any) -> Body:
    """A judge behind an endpoint with these facts, whose registration asked it something."""
    made = client.post(f"{API}/endpoints", json={"base_url": court.habits.url, "model": JUDGE, **facts})
    assert made.status_code == 201, made.text
    court.habits.asked.clear()
    return {"name": "llm", "checkpoint": made.json()["id"], "explain": False}


@pytest.fixture
def judge(researcher: Client, court: Court) -> Body:
    return registered(researcher, court)


def test_a_judge_is_asked_in_both_orders(researcher: Client, court: Court, judge: Body) -> None:
    """The same in both: better; otherwise a tie that comes first; a reply without a verdict suggests nothing."""
    court.verdict = lambda text: "A" if "number 1" in text else "Hm." if "number 2" in text else longer(text)
    data = [("Short.", "Much longer."), ("Short.", "Much longer."), ("Short.", "Much longer.")]
    task = make_task(researcher, add_items(Kind.paired, *data), order="uncertainty")
    job = ask(researcher, task, judge)
    suggest.work()

    assert suggested(task) == [({"strength": -2}, 1.0), ({"strength": 0}, 0.0), None]
    assert len(court.questions) == len(set(court.questions)) == 2 * 3
    found = read(researcher, job)
    assert (found["state"], found["suggested"]) == ("succeeded", 2)
    assert found["left_out"] == {"The judge's reply holds no verdict.": 1}
    assert asked(deal(researcher, task, 3)) == [1, 0, 2]
    ranked = make_task(
        researcher, add_items(Kind.ranked, ("One.", "Much longer.", "Longest of all.")), question={"kind": "ranking"}
    )
    ask(researcher, ranked, judge)
    suggest.work()
    assert suggested(ranked) == [({"ranking": [[2], [1], [0]]}, 0.5)]


def test_an_endpoint_that_is_away_fails_and_goes_on(researcher: Client, court: Court, judge: Body) -> None:
    """What it cannot do is told with what to do; once it answers again, the job goes on."""
    task = make_task(researcher, add_items(Kind.paired, *pairs(2)))
    job = ask(researcher, task, judge)
    court.habits.fails = [(401, {})] * 8
    suggest.work()
    found = read(researcher, job)
    assert (found["state"], found["done"]) == ("failed", 0)
    assert JUDGE in found["reason"]
    assert found["remedy"]
    court.habits.fails = []
    assert researcher.post(f"{API}/suggestion-jobs/{job}/resume").json()["state"] == "queued"
    suggest.work()
    assert read(researcher, job)["state"] == "succeeded"
    assert researcher.post(f"{API}/suggestion-jobs/{job}/resume").status_code == 409


def test_it_stops_at_its_limit_and_goes_on(researcher: Client, court: Court) -> None:
    """The cost is told before; never beyond the limit; what is paid for stays and is asked no second time."""
    judge = registered(researcher, court, input_price=0, output_price=1_000_000, concurrency=1) | {"max_tokens": 100}
    task = make_task(researcher, add_items(Kind.paired, *pairs(4)))
    sized = f"{API}/tasks/{task['id']}/suggestion-jobs/preflight"
    before = researcher.post(sized, json={"judge": judge}).json()
    assert (before["items"], before["verdicts"], before["taken"], before["cost"]["requests"]) == (4, 8, 0, 8)
    assert 0 < before["cost"]["money"]["low"] < before["cost"]["money"]["high"]

    job = ask(researcher, task, judge, limits={"money": 100 + 2 * 5})  # the longest answer after two that were written
    suggest.work()
    found = read(researcher, job)
    assert (found["state"], found["done"], found["suggested"]) == ("cancelled", 1, 1)
    assert "limit" in found["reason"]
    assert "higher limit" in found["remedy"]
    assert (found["spent"]["requests"], found["spent"]["money"], len(court.questions)) == (3, 15, 3)
    left = researcher.post(sized, json={"judge": judge}).json()
    assert (left["items"], left["taken"], left["cost"]["requests"]) == (4, 3, 5)

    again = researcher.post(f"{API}/suggestion-jobs/{job}/resume", json={"limits": {"money": 1e6}})
    assert again.json()["state"] == "queued"
    suggest.work()
    found = read(researcher, job)
    assert (found["state"], found["done"], found["suggested"], found["spent"]["requests"]) == ("succeeded", 4, 4, 8)
    assert len(court.questions) == len(set(court.questions)) == 8

    second = ask(researcher, task, judge)
    suggest.work()
    found = read(researcher, second)
    assert (found["state"], found["suggested"], found["taken"], found["spent"]) == ("succeeded", 4, 8, None)
    assert len(court.questions) == 8


def test_a_limit_that_nobody_could_hold(researcher: Client, judge: Body) -> None:
    """Money cannot be limited where the model has no price: refused at its field, at the start and when it goes on."""
    task = make_task(researcher, add_items(Kind.paired, *pairs(2)))
    path = f"{API}/tasks/{task['id']}/suggestion-jobs"
    refused = researcher.post(path, json={"judge": judge, "limits": {"money": 1}})
    assert (refused.status_code, refused.json()["field"]) == (422, "limits.money")
    assert researcher.post(path, json={"judge": judge, "limits": {"tokens": 0}}).status_code == 422
    job = ask(researcher, task, judge, limits={"tokens": 1})
    suggest.work()
    assert (read(researcher, job)["state"], read(researcher, job)["spent"]) == ("cancelled", None)
    later = researcher.post(f"{API}/suggestion-jobs/{job}/resume", json={"limits": {"money": 1}})
    assert (later.status_code, later.json()["field"]) == (422, "limits.money")


def test_every_verdict_is_stored_as_it_comes(researcher: Client, court: Court, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies between two requests loses none that were answered, and alike pairs are asked of once."""
    judge = registered(researcher, court, concurrency=1)
    task = make_task(researcher, add_items(Kind.paired, *pairs(2), pairs(1)[0]))
    with transaction() as session:
        prompt = session.scalars(select(ItemRow.prompt).where(ItemRow.position == 0)).one()
        session.execute(update(ItemRow).where(ItemRow.position == 2).values(prompt=prompt))
    job = ask(researcher, task, judge)
    keep, stored = suggesting._keep, list[str]()

    def dying(*given: Any) -> None:
        keep(*given)
        stored.append(given[2])
        if len(stored) == 3:
            raise RuntimeError

    monkeypatch.setattr(suggesting, "_keep", dying)
    with pytest.raises(RuntimeError):
        suggest.work()
    found = read(researcher, job)
    assert (found["state"], found["done"]) == ("failed", 1)
    assert researcher.post(f"{API}/suggestion-jobs/{job}/resume").status_code == 200
    suggest.work()
    found = read(researcher, job)
    assert (found["state"], found["suggested"]) == ("succeeded", 3)
    assert len(set(stored)) == len(stored) == 4
    first, _, third = suggested(task)
    assert first == third
