"""Which workers are alive: each tells Redis every few seconds, and Redis forgets those that fell silent."""

import json
import os
import socket
from typing import NamedTuple

import psutil
import redis
from pydantic import ValidationError

from alignment.training.timing import Speed

PREFIX = "plumbline:worker:"
BEAT_SECONDS = 10.0
KEPT_SECONDS = 60


class Machine(NamedTuple):
    """What a machine has to train on, and how fast one device of it computes, where that was measured."""

    gpus: int = 0
    processors: int = 1
    speed: Speed | None = None

    @property
    def devices(self) -> int:
        """How many processes can train together there: one for each GPU, or processor where there is none."""
        return self.gpus or self.processors


NOTHING_SPECIAL = Machine()


class Worker(NamedTuple):
    """A worker: where it is, which queues it serves, whether it carries the beat, how long ago it last spoke, and what
    its machine has."""

    name: str
    queues: tuple[str, ...]
    beat: bool
    silent_seconds: float
    machine: Machine = NOTHING_SPECIAL

    @property
    def host(self) -> str:
        """The name of its machine."""
        return self.name.rpartition(":")[0]


def connect(url: str, seconds: float = 3.0) -> "redis.Redis":
    """A client that gives up soon."""
    return redis.Redis.from_url(url, decode_responses=True, socket_timeout=seconds, socket_connect_timeout=seconds)


def host() -> str:
    """What this machine is called among workers."""
    return socket.gethostname()


def name() -> str:
    """What this process is called among workers."""
    return f"{host()}:{os.getpid()}"


def announce(client: "redis.Redis", queues: tuple[str, ...], *, beat: bool, machine: Machine = NOTHING_SPECIAL) -> None:
    """Say that this worker is alive.  Raises RedisError."""
    told = {"queues": queues, "beat": beat, "gpus": machine.gpus, "processors": machine.processors}
    if machine.speed is not None:
        told["speed"] = machine.speed.model_dump()
    client.set(PREFIX + name(), json.dumps(told), ex=KEPT_SECONDS)


def leave(client: "redis.Redis") -> None:
    """Say that this worker has ended.  Raises RedisError."""
    client.delete(PREFIX + name())


def forget_dead(client: "redis.Redis") -> None:
    """Remove those of this host whose process is gone: killed, they could not say goodbye.  Raises RedisError."""
    here = f"{PREFIX}{host()}:"
    for key in client.scan_iter(match=here + "*", count=1000):
        if not psutil.pid_exists(int(key.removeprefix(here))):
            client.delete(key)


def _speed(told: object) -> Speed | None:
    """What a worker says of its machine; nothing where it is of another form, as a newer one's may be."""
    try:
        return None if told is None else Speed.model_validate(told)
    except ValidationError:
        return None


def workers(client: "redis.Redis") -> list[Worker]:
    """Those that spoke within the last minute; how long ago is told by Redis, so that no clock but its own counts.
    Raises RedisError."""
    found = []
    for key in sorted(client.scan_iter(match=PREFIX + "*", count=1000)):
        told, left = client.get(key), client.pttl(key)
        if isinstance(told, str) and left > 0:
            silent = max(0.0, KEPT_SECONDS - left / 1000)
            try:
                facts = json.loads(told)
                machine = Machine(
                    int(facts.get("gpus", 0)), int(facts.get("processors", 1)), _speed(facts.get("speed"))
                )
                queues, beat = tuple(facts["queues"]), bool(facts["beat"])
                found.append(Worker(key.removeprefix(PREFIX), queues, beat, silent, machine))
            except (ValueError, TypeError, KeyError, AttributeError):
                continue  # not written by a worker
    return found
