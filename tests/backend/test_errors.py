"""What people read when something below the routes breaks."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from redis.exceptions import ConnectionError as BrokerAway
from sqlalchemy.exc import OperationalError

from backend.accounts import limit, service
from backend.settings import get_settings
from tests.conftest import Client

USERS = "/api/v1/users"


def test_two_at_once(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two requests for one name that both found it free, one gets it and the other a 409 with a remedy."""
    both = Barrier(2, timeout=20)
    real = service.hasher

    def together() -> object:  # called between looking for the name and taking it
        both.wait()
        return real()

    monkeypatch.setattr(service, "hasher", together)
    with ThreadPoolExecutor(2) as pool:
        sent = [pool.submit(admin.post, USERS, json={"name": "kim"}) for _ in range(2)]
        answers = sorted((one.result() for one in sent), key=lambda answer: answer.status_code)

    assert [answer.status_code for answer in answers] == [201, 409]
    assert answers[1].json()["remedy"]
    assert [user["name"] for user in admin.get(USERS).json()["items"]].count("kim") == 1


def test_broker_away(anonymous: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Nobody signs in uncounted: while failures cannot be counted the answer is 503, not a guess and not a 500."""
    away = get_settings().model_copy(update={"redis_url": f"unix://{tmp_path}/nobody.sock"})
    monkeypatch.setattr(limit, "get_settings", lambda: away)
    answer = anonymous.post("/api/v1/session", json={"name": "kim", "password": "wrong"})

    assert answer.status_code == 503
    assert answer.json()["remedy"]


@pytest.mark.parametrize(("address", "noun"), [("runs/nonsense", "run"), ("suggestion-jobs/7", "suggestion job")])
def test_a_mistyped_address_names_what_is_not_there(admin: Client, address: str, noun: str) -> None:
    """As one whose thing was removed: 404, and where to go."""
    answer = admin.get(f"/api/v1/{address}")

    assert answer.status_code == 404
    assert answer.json()["detail"] == f"There is no such {noun}."
    assert answer.json()["remedy"]


AWAY = [OperationalError("SELECT secret", {}, Exception("10.0.0.7")), BrokerAway("10.0.0.7")]


@pytest.mark.parametrize("error", AWAY)
def test_nothing_of_the_cause_is_shown(admin: Client, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A database that is away is a 503 that shows neither query nor address."""

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(service, "people", fails)
    answer = admin.get(USERS)

    assert answer.status_code == 503
    assert "secret" not in answer.text
    assert "10.0.0.7" not in answer.text
