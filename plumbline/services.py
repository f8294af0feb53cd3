"""Which database and doorbell a command uses: external ones when named, else private ones."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from backend.settings import Settings, get_settings
from plumbline.embedded import Embedded, holder
from plumbline.processes import listener


class Trouble(RuntimeError):
    """Something outside the program keeps it from starting; the message says what and how to go on."""


class PortTaken(Trouble):
    """The web server's port is in use."""


class NoServices(Trouble):
    """A part of the program was started alone without naming its servers."""


class OtherSchema(Trouble):
    """The database was made by an older or newer version."""


class Unreachable(Trouble):
    """A named external server does not answer."""


def use(**urls: str) -> None:
    """Afterwards this process and its children work with the servers at `urls` (`database_url`, `redis_url`)."""
    from backend.db import get_engine
    from backend.queue import get_celery

    os.environ.update({name.upper(): url for name, url in urls.items()})
    for chosen_before in (get_settings, get_engine, get_celery):
        chosen_before.cache_clear()


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
    import redis
    from sqlalchemy.exc import SQLAlchemyError

    from backend.db import make_engine

    if settings.database_url is not None:
        _check_address("DATABASE_URL", settings.database_url, ("postgresql", "postgres", "postgresql+psycopg"))
        engine = make_engine(settings.database_url)
        try:
            engine.connect().close()
        except (SQLAlchemyError, OSError) as error:
            raise Unreachable("The database that DATABASE_URL names does not answer, or refuses the name.") from error
        finally:
            engine.dispose()
    if settings.redis_url is not None:
        _check_address("REDIS_URL", settings.redis_url, ("redis", "rediss", "unix"))
        try:
            with redis.Redis.from_url(settings.redis_url, socket_connect_timeout=5, socket_timeout=5) as client:
                client.ping()
        except (redis.RedisError, OSError, ValueError) as error:
            raise Unreachable("The server that REDIS_URL names does not answer, or refuses the password.") from error


def require_schema(settings: Settings) -> None:
    """Raises OtherSchema unless the named database has this program's schema, HalfRestored when it is not whole. One
    that is away is no reason: every part waits for it."""
    from sqlalchemy.exc import OperationalError

    from backend.db import make_engine, newest, revision
    from plumbline.backup.database import refuse_half_restored

    engine = make_engine(settings.database_url or "")
    try:
        with engine.connect() as connection:
            found = revision(connection)
        refuse_half_restored(settings.database_url or "")
    except OperationalError:
        return
    finally:
        engine.dispose()
    if found is None or found < newest():
        raise OtherSchema(
            f"The database has {'schema ' + found if found else 'no schema'}; this program works with "
            f"{newest()}. Run `plumbline migrate` first."
        )
    if found > newest():
        raise OtherSchema(
            f"The database has schema {found}, and this program knows up to {newest()}: install the "
            "newer version here too."
        )


def _check_address(name: str, url: str, schemes: tuple[str, ...]) -> None:
    """Raises Unreachable when `url` cannot be an address of the right kind; it is not shown, it may hold a password."""
    try:
        right = urlsplit(url).scheme in schemes
    except ValueError:
        right = False
    if not right:
        raise Unreachable(f"{name} is not the address of such a server; it should start with {schemes[0]}://")


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
