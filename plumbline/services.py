"""Which database and doorbell a command uses: external ones when named, else private ones."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import make_url

from backend.settings import Settings, get_settings
from plumbline.embedded import Embedded, holder
from plumbline.processes import listener


class Trouble(RuntimeError):
    """Something outside the program keeps it from starting; the message says what and how to go on."""


class PortTaken(Trouble):
    """The web server's port is in use."""


class NoServices(Trouble):
    """A part of the program was started alone without naming its servers."""


class Unreachable(Trouble):
    """A named external server does not answer."""


def use(**urls: str) -> None:
    """Afterwards this process and its children work with the servers at `urls` (`database_url`, `redis_url`)."""
    os.environ.update({name.upper(): url for name, url in urls.items()})
    get_settings.cache_clear()


def private(settings: Settings) -> Embedded:
    """The servers that are not named; with both named, only the lock of the data folder."""
    return Embedded(settings.data, postgres=settings.database_url is None, valkey=settings.redis_url is None)


@contextmanager
def borrowed(settings: Settings) -> Iterator[None]:
    """The database for a short command: the named one, that of the running program, or a private one meanwhile."""
    if settings.database_url is not None:
        yield
        return
    running = holder(settings.data)
    if running is not None and "database_url" in running:
        use(database_url=running["database_url"])
        yield
        return
    with Embedded(settings.data, valkey=False) as servers:
        use(**servers.urls)
        yield


def require_services(settings: Settings) -> None:
    """Raises NoServices unless both servers are named, as a part that is started alone needs."""
    missing = [name for name in ("DATABASE_URL", "REDIS_URL") if getattr(settings, name.lower()) is None]
    if missing:
        raise NoServices(
            f"{' and '.join(missing)} must name the servers to work with. "
            "To run everything on this machine without any, use `plumbline up`."
        )


def check_services(settings: Settings) -> None:
    """Raises Unreachable when a named server does not answer; passwords stay out of the message."""
    import psycopg
    import redis

    from backend.db import make_engine

    if settings.database_url is not None:
        engine = make_engine(settings.database_url)
        try:
            engine.raw_connection().close()
        except (psycopg.Error, OSError) as error:
            where = make_url(settings.database_url).set(password=None).render_as_string()
            raise Unreachable(f"The database at {where} does not answer. Check DATABASE_URL.") from error
        finally:
            engine.dispose()
    if settings.redis_url is not None:
        try:
            with redis.Redis.from_url(settings.redis_url, socket_connect_timeout=5, socket_timeout=5) as client:
                client.ping()
        except (redis.RedisError, OSError) as error:
            raise Unreachable("The server named by REDIS_URL does not answer. Check its address.") from error


def check_port(settings: Settings) -> None:
    """Raises PortTaken when the web server could not bind its address."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise PortTaken(_why_not(settings, error)) from error


def _why_not(settings: Settings, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"Port {settings.port} needs root's rights. Choose one above 1023: PLUMBLINE_PORT=7860."
    if isinstance(error, socket.gaierror) or error.errno != errno.EADDRINUSE:
        return f"This machine has no address {settings.host}. Set PLUMBLINE_HOST to one of its own, such as 127.0.0.1."
    who = listener(settings.port)
    taken_by = f" by {who[0]} (process {who[1]})" if who else ""
    return (
        f"Port {settings.port} on {settings.host} is taken{taken_by}. Stop that program, or choose another port: "
        f"PLUMBLINE_PORT={settings.port + 1 if settings.port < 65535 else 7860}."
    )
