"""Whether what every request needs answers, found out at most every few seconds however often somebody asks."""

import time
from collections.abc import Callable
from functools import lru_cache

import anyio
import redis
import structlog
from sqlalchemy import Engine, NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from backend import storage
from backend.db import normal_url
from backend.errors import AppError
from backend.settings import get_settings

SECONDS = 3.0  # that each of them has
FRESH_SECONDS = 5.0
log = structlog.get_logger()


def database() -> bool:
    """Whether the database takes a connection of its own, whatever those of the pool are busy with."""
    url = get_settings().database_url
    if url is None:
        return False
    try:
        with _engine(url).connect() as connection:
            connection.execute(text("SELECT 1"))
    except (SQLAlchemyError, OSError):
        return False
    return True


@lru_cache(maxsize=4)
def _engine(url: str) -> Engine:
    return create_engine(normal_url(url), poolclass=NullPool, connect_args={"connect_timeout": int(SECONDS)})


def doorbell() -> bool:
    """Whether Redis answers."""
    url = get_settings().redis_url
    if url is None:
        return False
    try:
        with redis.Redis.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError):
        return False
    return True


def files() -> bool:
    """Whether the storage takes, gives back and forgets a small object."""
    try:
        storage.get_storage().check()
    except AppError:
        return False
    return True


Look = Callable[[], bool]


class Readiness:
    """The newest answer, and at most one look at each part under way."""

    def __init__(self, parts: dict[str, Look]) -> None:
        self._parts = parts
        self._busy: set[str] = set()
        self._one = anyio.Lock()
        self._missing: list[str] = []
        self._at: float | None = None

    async def missing(self) -> list[str]:
        """The names of the parts that do not answer in time."""
        async with self._one:  # whoever asks meanwhile gets what this look finds
            if self._at is None or time.monotonic() - self._at > FRESH_SECONDS:
                await self._look_at_all()
            return self._missing

    async def _look_at_all(self) -> None:
        found: dict[str, bool] = {}
        async with anyio.create_task_group() as looks:
            for name in self._parts:
                looks.start_soon(self._look, name, found)
        missing = [name for name in self._parts if not found.get(name, False)]
        if missing != self._missing:
            log.warning("readiness changed", missing=missing)
        self._missing, self._at = missing, time.monotonic()

    async def _look(self, name: str, found: dict[str, bool]) -> None:
        """A look that hangs is left behind, and until it has ended no second one is begun."""
        if name in self._busy:
            return
        self._busy.add(name)

        def looking() -> bool:
            try:
                return self._parts[name]()
            finally:
                self._busy.discard(name)

        with anyio.move_on_after(SECONDS):
            found[name] = await anyio.to_thread.run_sync(looking, abandon_on_cancel=True)
