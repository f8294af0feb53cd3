"""A worker tells that it is alive, from a thread of its main process: also while a run keeps everything else busy."""

import contextlib
import threading
from typing import Any

import redis
import structlog

from backend.presence import BEAT_SECONDS, announce, connect, forget_dead, leave
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
        while True:
            try:
                announce(client, queues, beat=beat, machine=here())
            except redis.RedisError:
                log.warning("Redis away; this worker is not seen")
            if _over.wait(BEAT_SECONDS):
                return
