"""Tokens of arena answers on their way from a worker to a browser: one Redis stream a battle, gone after an hour."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple, cast

import redis

from backend.errors import Unavailable
from backend.settings import get_settings

SECONDS_KEPT = 3600
MOST_ENTRIES = 20_000
START = "0-0"


class StreamAway(Unavailable):
    title = "Live text is away"


class Piece(NamedTuple):
    """Text that one answer grew by; `side` is its place as shown."""

    side: int
    text: str


@lru_cache
def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, decode_responses=True, socket_timeout=5, socket_connect_timeout=5)


@contextmanager
def _connected() -> Iterator["redis.Redis"]:
    url = get_settings().redis_url
    if url is None:
        raise StreamAway("No Redis is configured.", remedy="Set REDIS_URL, or start the program with `plumbline up`.")
    try:
        yield _client(url)
    except redis.RedisError as error:
        remedy = "The answers are kept when they are finished; try again in a moment."
        raise StreamAway("The live text cannot be read now.", remedy=remedy) from error


def _name(battle_id: uuid.UUID) -> str:
    return f"plumbline:arena:{battle_id}"


def begin(battle_id: uuid.UUID) -> None:
    """Forget what an earlier worker wrote; whoever has read it is told that it is void.  Raises StreamAway."""
    with _connected() as client:
        pipe = client.pipeline(transaction=True)
        pipe.delete(_name(battle_id))
        pipe.xadd(_name(battle_id), {"begins": "1"})
        pipe.expire(_name(battle_id), SECONDS_KEPT)
        pipe.execute()


def write(battle_id: uuid.UUID, pieces: list[Piece]) -> None:
    """Append text to the battle's stream.  Raises StreamAway."""
    with _connected() as client:
        pipe = client.pipeline(transaction=False)
        for piece in pieces:
            pipe.xadd(_name(battle_id), {"side": piece.side, "text": piece.text}, maxlen=MOST_ENTRIES)
        pipe.expire(_name(battle_id), SECONDS_KEPT)
        pipe.execute()


def read(battle_id: uuid.UUID, after: str) -> tuple[list[Piece], bool, str]:
    """What came after the cursor, whether the text begins anew with it, and the next cursor.  Raises StreamAway."""
    with _connected() as client:
        entries = cast(list[tuple[str, dict[str, Any]]], client.xrange(_name(battle_id), min=f"({after}", max="+"))
    fresh = any("begins" in fields for _, fields in entries)
    pieces = [Piece(int(fields["side"]), fields["text"]) for _, fields in entries if "text" in fields]
    return pieces, fresh, entries[-1][0] if entries else after
