"""A worker tells that it is alive and what its machine has, from a thread of its main process: also while a run keeps
everything else busy."""

import contextlib
import threading
from typing import Any

import redis
import structlog

from alignment.training import timing
from backend.presence import BEAT_SECONDS, Machine, announce, connect, forget_dead, leave
from backend.runs.devices import here
from backend.settings import get_settings

log = structlog.get_logger()
_over = threading.Event()


def begin(worker: Any) -> None:
    """Start telling; `worker` is Celery's, ready to work."""
    url = get_settings().redis_url
    if url is None:
        return
    _over.clear()
    queues = tuple(sorted(worker.app.amqp.queues.consume_from))
    beat = getattr(worker, "beat", None) is not None
    threading.Thread(target=_tell, args=(url, queues, beat), daemon=True, name="presence").start()


def end() -> None:
    """Say goodbye, so that nobody takes this worker for alive in the next minute."""
    url = get_settings().redis_url
    _over.set()
    if url is not None:
        try:
            with connect(url) as client:
                leave(client)
        except redis.RedisError:
            log.info("Redis is away; this worker will be forgotten in a minute")


def _tell(url: str, queues: tuple[str, ...], beat: bool) -> None:
    with connect(url) as client:
        with contextlib.suppress(redis.RedisError):
            forget_dead(client)
        machine = here()
        _say(client, queues, beat, machine)
        if "train" in queues:  # after the first word, since it takes seconds
            machine = machine._replace(speed=_speed())
            if not _over.is_set():
                _say(client, queues, beat, machine)
        while not _over.wait(BEAT_SECONDS):
            _say(client, queues, beat, machine)


def _say(client: "redis.Redis", queues: tuple[str, ...], beat: bool, machine: Machine) -> None:
    try:
        announce(client, queues, beat=beat, machine=machine)
    except redis.RedisError:
        log.warning("Redis away; this worker is not seen")


def _speed() -> timing.Speed | None:
    speed = timing.measured()
    if speed is None:
        log.warning("it could not be measured how fast this machine computes; first runs are told no time")
    return speed
