"""Several requests at once, for a caller that stays awake: it beats its heart and may leave at any moment."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

S = TypeVar("S")
K = TypeVar("K")
V = TypeVar("V")
Stop = Callable[[], bool]
LOOK_SECONDS = 0.2


def each(
    opened: Callable[[], AbstractContextManager[S]],
    ask: Callable[[S, K, Stop], V],
    keys: Iterable[K],
    at_once: int,
    stop: Stop,
    grace_seconds: float = 0.0,
) -> Iterator[tuple[K, V] | None]:
    """What `ask(server, key, over)` gives for every key, as it comes, and None whenever nothing came for a moment.

    Each of `at_once` threads has a server of its own, which `opened` makes. When `stop()` is true no further key is
    begun, `over()` is true, and what comes within `grace_seconds` is still given; who asks on after that asks for
    nobody. The same when one raises an error, which is then raised here.
    """
    waiting, turn, over = iter(keys), threading.Lock(), threading.Event()
    came: queue.Queue[tuple[K, V] | Exception] = queue.Queue()

    def work() -> None:
        try:
            with opened() as server:
                while not over.is_set():
                    with turn:
                        key = next(waiting, None)
                    if key is None:
                        return
                    came.put((key, ask(server, key, over.is_set)))
        except Exception as error:  # noqa: BLE001  (raised by the caller)
            came.put(error)
            over.set()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    failed: Exception | None = None
    try:
        for found in _arrivals(came, threads, stop):
            if isinstance(found, Exception):
                failed = found
                break
            yield found
    finally:
        over.set()
    if grace_seconds:
        yield from _latecomers(came, threads, time.monotonic() + grace_seconds)
    if failed is not None:
        raise failed


def _arrivals(
    came: "queue.Queue[tuple[K, V] | Exception]", threads: list[threading.Thread], stop: Stop
) -> Iterator[tuple[K, V] | Exception | None]:
    while not stop():
        alive = any(thread.is_alive() for thread in threads)
        try:
            found = came.get(timeout=LOOK_SECONDS if alive else 0)
        except queue.Empty:
            if not alive:
                return
            yield None
            continue
        yield found


def _latecomers(
    came: "queue.Queue[tuple[K, V] | Exception]", threads: list[threading.Thread], until: float
) -> Iterator[tuple[K, V]]:
    """What was under way; errors no longer matter."""
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    while not came.empty():
        found = came.get()
        if not isinstance(found, Exception):
            yield found
