"""What the checks look at: settings, and connections to the servers as far as they can be had without harm."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import redis
from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from backend import presence
from backend.db import newest, normal_url, revision
from backend.settings import Settings
from plumbline.check.said import Said, ok, problem, warning
from plumbline.embedded import AlreadyRunning, Embedded, holder
from plumbline.servers import ServerFailed
from plumbline.up import bound

CONNECT_SECONDS = 5
AWAY = "Start its server, or correct {name}; look at the network and at what the server's own log says."


@dataclass
class Scene:
    """`running` is what the program that holds the data folder tells of itself, None when none does; `settings` have
    its host and port. A connection is None where there is none to be had, and `database` and `broker` say why."""

    settings: Settings
    running: dict[str, Any] | None
    database: Said
    broker: Said
    connection: Connection | None = None
    redis: "redis.Redis | None" = None

    @property
    def deployed(self) -> bool:
        """Whether the program is meant to be at work now: it holds the folder, or its servers are somebody's."""
        named = self.settings.database_url is not None and self.settings.redis_url is not None
        return self.running is not None or named

    @property
    def schema(self) -> str | None:
        """The revision of the database's schema."""
        return revision(self.connection) if self.connection is not None else None

    @property
    def rows(self) -> Connection | None:
        """The database, if its tables are those that this program knows."""
        return self.connection if self.schema == newest() else None


@contextmanager
def survey(settings: Settings) -> Iterator[Scene]:
    """The scene, for as long as the block lasts. A private database that nobody runs is started meanwhile, under the
    lock of its folder; one that is not there is not made."""
    running = holder(settings.data)
    scene = Scene(bound(settings, running), running, ok(""), ok(""))
    with ExitStack() as held:
        scene.database = _database(scene, held)
        scene.broker = _broker(scene, held)
        yield scene


def _database(scene: Scene, held: ExitStack) -> Said:
    settings, running = scene.settings, scene.running
    if settings.database_url is not None:
        return _connect(scene, settings.database_url, held, "The database that DATABASE_URL names")
    if running is not None:
        if "database_url" not in running:
            return warning("The program is just starting.", "Ask again in a minute.")
        return _connect(scene, running["database_url"], held, "The private database of the running program")
    if not (settings.data / "postgres").is_dir():
        return ok("There is no private database yet; the first start makes it.")
    servers = Embedded(settings.data, valkey=False)
    try:
        held.enter_context(servers)
    except (ServerFailed, AlreadyRunning) as trouble:
        return problem(str(trouble), "Mend what it says, then check again.")
    return _connect(scene, servers.database_url, held, "The private database (started for this check)")


def _connect(scene: Scene, url: str, held: ExitStack, what: str) -> Said:
    """Sets the scene's connection.  The address is never shown: it may hold a password."""
    remedy = AWAY.format(name="DATABASE_URL")
    try:
        engine = create_engine(normal_url(url), poolclass=NullPool, connect_args={"connect_timeout": CONNECT_SECONDS})
    except (ArgumentError, ValueError, ImportError):
        return problem(f"{what} has no address that can be read.", "It begins with postgresql://")
    try:
        connection = engine.connect()
    except (SQLAlchemyError, OSError):
        return problem(f"{what} does not answer, or refuses the name or the password.", remedy)
    held.enter_context(connection)
    scene.connection = connection.execution_options(isolation_level="AUTOCOMMIT")
    return ok(f"{what} answers.")


def _broker(scene: Scene, held: ExitStack) -> Said:
    url = scene.settings.redis_url or (scene.running or {}).get("redis_url")
    if url is None:
        return ok("Valkey runs with the program, which does not run now.")
    what = "The server that REDIS_URL names" if scene.settings.redis_url else "The private Valkey"
    try:
        client = held.enter_context(presence.connect(url, CONNECT_SECONDS))
        client.ping()
    except ValueError:
        return problem(f"{what} has no address that can be read.", "It begins with redis://")
    except (redis.RedisError, OSError):
        return problem(f"{what} does not answer, or refuses the password.", AWAY.format(name="REDIS_URL"))
    scene.redis = client
    return ok(f"{what} answers.")
