"""What evaluations cost at endpoints: told before and during, never beyond a limit, and asked at a bearable pace."""

from typing import Any

import pytest

from backend.checkpoints.openai import Unfinished
from backend.checkpoints.schemas import EndpointFacts
from backend.evaluations.schemas import LimitsIn, SpentOut
from tests.conftest import Client
from tests.court import SHORT, Court
from tests.workers.test_paid_once import PROMPTS, registered, run, sized
from workers.spending import Pace, Purse, Stopping
from workers.tasks import evaluate

Body = dict[str, Any]
REQUESTS = 4 * PROMPTS
READ, WRITTEN = 7, 5  # what the server says of each request


def test_told_before_and_counted(researcher: Client, court: Court) -> None:
    """A range before launch, and afterwards what the server counted, in tokens and in money."""
    body = registered(researcher, court, input_price=100_000, output_price=1_000_000)
    cost = sized(researcher, body)["cost"]
    found = run(researcher, body)
    money = REQUESTS * (0.1 * READ + WRITTEN)
    assert found["spent"] == {
        "requests": REQUESTS,
        "read": REQUESTS * READ,
        "written": REQUESTS * WRITTEN,
        "money": pytest.approx(money),
        "estimated": 0,
    }
    assert (cost["requests"], cost["unpriced"]) == (REQUESTS, [])
    assert 0 < cost["money"]["low"] < cost["money"]["high"]


def test_a_server_that_counts_nothing(researcher: Client, court: Court) -> None:
    """Its tokens are estimated by characters, and it is said for how many requests."""
    body = registered(researcher, court)
    court.habits.usage = None
    spent = run(researcher, body)["spent"]
    assert (spent["requests"], spent["estimated"], spent["money"]) == (REQUESTS, REQUESTS, 0)
    assert spent["read"] > spent["written"] > 0


def test_it_stops_at_its_limit_and_goes_on_with_a_higher_one(researcher: Client, court: Court) -> None:
    """Never beyond the limit; what was paid for stays, and nothing of it is asked again."""
    body = registered(researcher, court)
    limited = run(researcher, body | {"limits": {"tokens": 400}})
    assert (limited["state"], limited["done"]) == ("cancelled", 2 * PROMPTS)
    assert "limit of 400 tokens" in limited["reason"]
    assert "higher limit" in limited["remedy"]
    assert limited["spent"]["read"] + limited["spent"]["written"] == 2 * PROMPTS * (READ + WRITTEN) <= 400

    again = researcher.post(f"/api/v1/evaluations/{limited['id']}/resume", json={"limits": {"tokens": 100_000}})
    assert again.status_code == 202, again.text
    evaluate.work()

    found = researcher.get(f"/api/v1/evaluations/{limited['id']}").json()
    assert (found["state"], found["spent"]["requests"]) == ("succeeded", REQUESTS)
    assert len(court.habits.asked) == REQUESTS


def test_money_without_prices_cannot_be_limited(researcher: Client, court: Court) -> None:
    """A limit that nobody could hold is refused at its field, at launch and when it goes on."""
    body = registered(researcher, court)
    refused = researcher.post("/api/v1/evaluations", json=body | {"limits": {"money": 1.0}})
    assert (refused.status_code, refused.json()["field"]) == (422, "limits.money")
    assert "has no price" in refused.json()["detail"]
    stopped = run(researcher, body | {"limits": {"tokens": 1}})
    assert stopped["spent"]["requests"] == 0
    later = researcher.post(f"/api/v1/evaluations/{stopped['id']}/resume", json={"limits": {"money": 1.0}})
    assert (later.status_code, later.json()["field"]) == (422, "limits.money")


class Clock:
    """A time that passes by sleeping."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def test_requests_keep_their_distance() -> None:
    """So many a minute and no more, without a burst after a rest; a server's wish to wait holds for everybody."""
    clock = Clock()
    pace = Pace(clock.now, clock.sleep)
    sent = []
    for _ in range(3):
        pace.wait(60, lambda: False)
        sent.append(clock.time)
    clock.time += 30
    pace.wait(60, lambda: False)
    pace.wait(60, lambda: False)
    sent.append(clock.time)
    assert sent == pytest.approx([100, 101, 102, 133])
    pace.hold(20)
    pace.wait(None, lambda: False)
    assert clock.time == pytest.approx(153)
    pace.hold(20)
    with pytest.raises(Stopping):
        pace.wait(None, lambda: True)


def purse(**limits: Any) -> Purse:
    return Purse(LimitsIn(**limits), SpentOut())


FACTS = EndpointFacts(base_url="http://a/v1", model="m", secret=None, input_price=1e6, output_price=1e6)
ASKED = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}


def test_an_answer_that_was_lost_counts_in_full() -> None:
    """A server that was too slow may charge for all that it could write, so that is taken from what may be spent."""
    own = purse(money=1000)
    with pytest.raises(Unfinished), own.request(FACTS, ASKED, lambda: False):
        raise Unfinished("Silent.", "Wait.")
    spent = own.spent()
    assert (spent["written"], spent["estimated"]) == (50, 1)
    assert spent["money"] == spent["read"] + 50 > 100


def test_what_is_under_way_at_the_end_counts_in_full() -> None:
    """Nobody learns what a request took that was left behind; it is not forgotten."""
    own = purse(money=1000)
    with own.request(FACTS, ASKED, lambda: False):
        left = own.closed()
    assert (left["requests"], left["written"], left["estimated"]) == (1, 50, 1)
    assert own.spent()["written"] == 0


def test_prices_that_are_taken_away_stop_what_is_limited(researcher: Client, court: Court) -> None:
    """An endpoint without a price costs nobody knows what: nothing more is asked of it, and it says so."""
    body = registered(researcher, court, input_price=1, output_price=1)
    stopped = run(researcher, body | {"limits": {"money": 1e-9}})
    assert (stopped["state"], stopped["spent"]["requests"]) == ("cancelled", 0)
    changed = researcher.put(
        f"/api/v1/endpoints/{body['contestants'][0]}", json={"base_url": court.habits.url, "model": SHORT}
    )
    assert changed.status_code == 200, changed.text
    assert researcher.post(f"/api/v1/evaluations/{stopped['id']}/resume", json={}).status_code == 202
    evaluate.work()
    found = researcher.get(f"/api/v1/evaluations/{stopped['id']}").json()
    assert (found["state"], found["spent"]["requests"]) == ("failed", 0)
    assert "no price any more" in found["reason"]
