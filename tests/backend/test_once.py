"""Doing a thing once, and ringing only for what was committed."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.testclient import TestClient

from backend import errors, queue
from backend.accounts import service
from backend.accounts.models import Role
from backend.db import transaction
from backend.deps import OnceDep
from tests.people import add_person


class Thing(BaseModel):
    number: int


@pytest.fixture
def thing_client(clean: None) -> TestClient:
    """A tiny application with one creating route, and somebody's token."""
    app = FastAPI()
    errors.install(app)
    made: list[int] = []

    @app.post("/things")
    def create(body: Thing, once: OnceDep) -> Thing:
        def make() -> Thing:
            made.append(body.number)
            return Thing(number=len(made))

        return once(body, Thing, make)

    with transaction() as session:
        user = add_person(session, Role.researcher, "kim")
        _, token = service.add_token(session, user, "test")
    return TestClient(app, headers={"authorization": f"Bearer {token}"})


def post(client: TestClient, number: int, key: str) -> Any:
    return client.post("/things", json={"number": number}, headers={"idempotency-key": key})


def test_same_key_same_answer(thing_client: TestClient) -> None:
    """Sending twice makes one; another body under the same key is refused."""
    assert post(thing_client, 5, "a").json() == {"number": 1}
    assert post(thing_client, 5, "a").json() == {"number": 1}
    assert post(thing_client, 6, "a").status_code == 409
    assert post(thing_client, 5, "b").json() == {"number": 2}


def test_at_the_same_time(thing_client: TestClient) -> None:
    """Two requests with one key at once still make one."""
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: post(thing_client, 1, "same").json(), range(4)))
    assert answers == [{"number": 1}] * 4


def test_bells(clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bell rings after the commit, not at a savepoint, and not after a rollback."""
    rung: list[str] = []
    monkeypatch.setattr(queue, "ring_now", rung.append)

    with transaction() as session:
        with session.begin_nested():
            queue.ring(session, "train")
        assert rung == []
        queue.ring(session, "train")
    assert rung == ["train"]

    with transaction() as session:
        queue.ring(session, "imports")
        session.rollback()
    assert rung == ["train"]
