"""Workers are seen while they live, and not for long after."""

import subprocess
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from alignment.training import timing
from alignment.training.timing import Speed
from backend.presence import Worker, connect, forget_dead, name, workers
from backend.runs.devices import here
from backend.settings import Settings
from workers import presence


@pytest.fixture
def redis(settings: Settings, clean: None) -> Iterator[Any]:
    assert settings.redis_url is not None
    with connect(settings.redis_url) as client:
        yield client


def await_workers(redis: Any, count: int) -> list[Worker]:
    limit = time.monotonic() + 30
    while len(found := workers(redis)) != count:
        assert time.monotonic() < limit
        time.sleep(0.02)
    return found


def test_from_the_first_to_the_last_word(redis: Any) -> None:
    """A worker that is ready is seen with its queues and whether it carries the beat; one that ends is gone at once."""
    queues = {"light": None, "generate": None}
    app = SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=queues)))
    presence.begin(SimpleNamespace(app=app, beat=object()))
    [worker] = await_workers(redis, 1)
    assert (worker.name, worker.queues, worker.beat) == (name(), ("generate", "light"), True)
    assert worker.silent_seconds < 60
    assert worker.machine == here()
    assert worker.machine.processors >= 1
    presence.end()
    assert await_workers(redis, 0) == []


def test_a_worker_that_trains_tells_how_fast_its_machine_computes(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is seen before that is measured, and its speed as soon as it is known."""
    app = SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from={"train": None})))
    speed = Speed(fp32=((64, 1e9), (128, 2e9)), bf16=((64, 3e9),))
    go = threading.Event()
    monkeypatch.setattr(timing, "measured", lambda: speed if go.wait(30) else None)

    presence.begin(SimpleNamespace(app=app))
    [before] = await_workers(redis, 1)
    go.set()
    limit = time.monotonic() + 30
    while (after := workers(redis)[0]).machine == before.machine:
        assert time.monotonic() < limit
        time.sleep(0.02)
    presence.end()

    assert before.machine == here()
    assert after.machine == here()._replace(speed=speed)
    assert await_workers(redis, 0) == []


def test_the_killed_are_forgotten(redis: Any) -> None:
    """A worker that was killed could not say goodbye: the next one on its host does. Other hosts' stay."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    host = name().rpartition(":")[0]
    for one in (f"{host}:{gone.pid}", name(), "elsewhere:1"):
        redis.set(f"plumbline:worker:{one}", '{"queues": ["light"], "beat": true}', ex=60)

    forget_dead(redis)

    assert {worker.name for worker in workers(redis)} == {name(), "elsewhere:1"}


def test_what_else_lies_there_is_no_worker(redis: Any) -> None:
    """Keys without an end and keys of others are left alone."""
    redis.set("plumbline:worker:for-ever:1", '{"queues": [], "beat": false}')
    redis.set("plumbline:arena:1", "x")
    for number, nonsense in enumerate(
        (
            '{"queues": [], "beat": true, "gpus": []}',
            "x",
            "[]",
            "3",
            "{}",
            '{"queues": 3, "beat": 1}',
        )
    ):
        redis.set(f"plumbline:worker:nonsense:{number}", nonsense, ex=60)
    assert workers(redis) == []


def test_a_speed_of_another_form_is_none(redis: Any) -> None:
    """A worker of a newer version is seen all the same."""
    redis.set("plumbline:worker:newer:1", '{"queues": ["train"], "beat": true, "speed": {"fp32": []}}', ex=60)
    [worker] = workers(redis)
    assert (worker.queues, worker.machine.speed) == (("train",), None)
