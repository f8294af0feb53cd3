"""Health: alive when it answers, ready when what it needs does, and no word more to strangers."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from backend.operation import endpoints, health
from backend.operation.health import Readiness
from backend.settings import get_settings
from tests.conftest import Client


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is remembered from before."""
    monkeypatch.setattr(endpoints.PARTS, "_at", None)
    yield
    get_settings.cache_clear()


def test_alive_and_ready(anonymous: Client) -> None:
    """Both answer without signing in, and are kept by nobody on the way."""
    assert anonymous.get("/health/live").json() == {"status": "live"}
    answer = anonymous.get("/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
    assert answer.headers["cache-control"] == "no-store"
    assert anonymous.get("/healthz").status_code == 404


def test_what_is_away_is_named_and_nothing_else(
    anonymous: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """503 with the parts; addresses, passwords and reasons stay inside. Alive it is all the same."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hidden@127.0.0.1:1/x")
    monkeypatch.setenv("REDIS_URL", "redis://:hidden@127.0.0.1:1/0")
    monkeypatch.setenv("PLUMBLINE_STORAGE", str(tmp_path / "file" / "deep"))
    get_settings.cache_clear()
    answer = anonymous.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json() == {"status": "not ready", "missing": ["database", "redis", "storage"]}
    assert anonymous.get("/health/live").status_code == 200


def test_many_who_ask_cost_one_look() -> None:
    """The answer is kept for some seconds: nobody can make the server write to its storage as often as they ask."""
    looks = []

    def look() -> bool:
        looks.append(1)
        return True

    parts = Readiness({"database": look})

    async def ask() -> list[list[str]]:
        return [await parts.missing() for _ in range(20)]

    assert anyio.run(ask) == [[]] * 20
    assert len(looks) == 1


def test_who_asks_during_a_look_gets_its_answer() -> None:
    """Several probes at the same moment: nobody is told that a part is missing which is just being looked at."""
    looks, found = [], list[list[str]]()

    def look() -> bool:
        looks.append(1)
        time.sleep(0.2)
        return True

    parts = Readiness({"database": look, "storage": look})

    async def ask() -> None:
        found.append(await parts.missing())

    async def all_at_once() -> None:
        async with anyio.create_task_group() as probes:
            for _ in range(5):
                probes.start_soon(ask)

    anyio.run(all_at_once)
    assert found == [[]] * 5
    assert len(looks) == 2


def test_a_part_that_hangs_is_missing_and_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer comes in time though a look does not come back, and no second look waits behind it."""
    monkeypatch.setattr(health, "SECONDS", 0.2)
    monkeypatch.setattr(health, "FRESH_SECONDS", 0.0)
    until, begun = threading.Event(), []

    def hangs() -> bool:
        begun.append(time.monotonic())
        return until.wait(60)

    parts = Readiness({"database": lambda: True, "storage": hangs})

    async def ask() -> list[list[str]]:
        return [await parts.missing() for _ in range(3)]

    async def both() -> list[list[str]]:
        try:
            return await ask()
        finally:
            until.set()

    assert anyio.run(both) == [["storage"]] * 3
    assert len(begun) == 1
