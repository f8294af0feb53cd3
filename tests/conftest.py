"""Real Postgres and Valkey for every test that asks, built by the migrations; clients that are signed in."""

import gc
import hashlib
import logging
import os
import signal
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI
from hypothesis import settings as drawing
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import text
from starlette.testclient import TestClient

from backend import queue
from backend.accounts import service as accounts
from backend.accounts.models import Role, User
from backend.db import Base, get_engine, make_engine, migrate, transaction
from backend.deps import COOKIE
from backend.projects import service as projects
from backend.projects.models import Project
from backend.settings import Settings, get_settings
from plumbline.embedded import Embedded
from tests import warm as warming
from tests.people import add_person

# Tracebacks with every local variable take most of a minute to draw.
structlog.configure(processors=[structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)])

# What is drawn is right or wrong, however busy the machine is. Whether a change may land is not drawn: CI draws the
# same examples of the same code each time, and everybody else new ones.
drawing.register_profile("untimed", deadline=None, derandomize=os.environ.get("CI") == "true")
drawing.load_profile("untimed")

# A runner started in the background ignores Ctrl-C, and so would every program that a test starts and stops by it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A password is looked at for a tenth of a second by design; here, where hundreds are, for a thousandth.
CHEAP = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
accounts.hasher = lambda: CHEAP  # type: ignore[assignment]

pytest_plugins = ("tests.voted",)
ORIGIN = "http://localhost"
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end. Training collects garbage before it measures memory, hundreds
    of times in a session: it goes through what came since, not through all of that again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data folder for the whole session."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def servers(data_folder: Path) -> Iterator[Embedded]:
    """Embedded Postgres and Valkey with the newest schema; the environment names them."""
    with Embedded(data_folder, fsync=False) as running:
        os.environ["DATABASE_URL"] = running.database_url
        os.environ["REDIS_URL"] = running.redis_url
        os.environ["PLUMBLINE_DATA"] = str(data_folder)
        get_settings.cache_clear()
        queue.get_celery.cache_clear()
        migrate(running.database_url)
        yield running
        get_engine().dispose()


@pytest.fixture
def settings(servers: Embedded) -> Settings:
    """The settings that tests run under."""
    return get_settings()


@pytest.fixture
def make_database(servers: Embedded) -> Callable[[], str]:
    """Makes databases of their own, without tables, and gives their URLs."""

    def make() -> str:
        name = f"t{uuid.uuid4().hex}"
        with get_engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f'CREATE DATABASE "{name}"'))
        return str(make_engine(servers.database_url).url.set(database=name).render_as_string(hide_password=False))

    return make


@pytest.fixture
def empty_database(make_database: Callable[[], str]) -> str:
    """The URL of one such database."""
    return make_database()


def oldest_id(name: str) -> uuid.UUID:
    """An id that sorts before those of rows made now, the same for the same name."""
    drawn = int.from_bytes(hashlib.sha256(name.encode()).digest()[:6])
    return uuid.UUID(int=(0x0190_0000_0000_7000_8000 << 48) | drawn)


@pytest.fixture
def clean(servers: Embedded, request: pytest.FixtureRequest) -> None:
    """An empty database (schema kept), an empty Valkey, and a default project. The project's id decides which prompts
    are held out: for a test it is always the same."""
    import redis

    tables = [table.name for table in Base.metadata.sorted_tables]
    look = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM \"{name}\")" for name in tables)  # noqa: S608 - our own tables' names
    with get_engine().begin() as connection:
        full = connection.execute(text(look)).scalars().all()
        connection.execute(text("SET LOCAL session_replication_role = replica"))  # in any order, whatever refers to it
        for name in full:
            connection.execute(text(f'DELETE FROM "{name}"'))  # noqa: S608
    with redis.Redis.from_url(servers.redis_url) as client:
        client.flushall()
    with transaction() as session:
        session.add(Project(id=oldest_id(request.node.nodeid), name=projects.DEFAULT))


class Client(TestClient):
    """A browser-like client of the API: sends our Origin, keeps cookies."""

    user: User


APPLICATIONS: dict[str, FastAPI] = {}


def application(settings: Settings) -> FastAPI:
    """The API under these settings; one for all tests that share them, as building it and describing it takes
    seconds."""
    from backend.app import create_app

    key = settings.model_dump_json()
    if key not in APPLICATIONS:
        APPLICATIONS[key] = create_app(settings)
    return APPLICATIONS[key]


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    """An event loop in a thread, in which the API answers; else every request would begin threads of its own."""
    with start_blocking_portal() as running:
        yield running


@pytest.fixture
def make_client(clean: None, portal: BlockingPortal) -> Iterator[Callable[..., Client]]:
    """Makes signed-in clients of a role in the default project or another; `None` for somebody signed out."""
    app = application(get_settings())
    opened: list[Client] = []

    def make(role: Role | None = Role.admin, name: str | None = None, project: Project | None = None) -> Client:
        client = Client(app, base_url=ORIGIN, headers={"origin": ORIGIN})
        client.portal = portal
        opened.append(client)
        if role is not None:
            with transaction() as session:
                client.user = add_person(session, role, name, project)
                client.cookies.set(COOKIE, accounts.open_session(session, client.user), domain="localhost.local")
        return client

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def anonymous(make_client: Callable[..., Client]) -> Client:
    return make_client(None)


@pytest.fixture
def annotator(make_client: Callable[..., Client]) -> Client:
    return make_client(Role.annotator)


@pytest.fixture
def researcher(make_client: Callable[..., Client]) -> Client:
    return make_client(Role.researcher)


@pytest.fixture
def admin(make_client: Callable[..., Client]) -> Client:
    return make_client(Role.admin)


@pytest.fixture(scope="session")
def warm_place() -> Iterator[str]:
    """The address of a process that has imported what our programs import."""
    with warming.serving() as place:
        yield place


@pytest.fixture
def warm(warm_place: str) -> Iterator[None]:
    """Programs of Python that a test starts, and those that these start, begin in a moment."""
    with warming.begun(warm_place):
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Public preference data beside the checkout; its absence fails under CI and skips elsewhere."""
    if SHARED.is_dir():
        return SHARED
    if os.environ.get("CI") == "true":
        pytest.fail(f"{SHARED} is missing; under CI nothing is skipped.")
    pytest.skip("The public data is not beside this checkout.")


@pytest.fixture
def quiet() -> Iterator[None]:
    """Leaves the logging of this process as it was."""
    root = logging.getLogger()
    handlers, level, hook = list(root.handlers), root.level, sys.excepthook
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:], sys.excepthook = handlers, hook
    root.setLevel(level)
    structlog.reset_defaults()
