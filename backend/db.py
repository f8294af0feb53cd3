"""The database: declarative base, engine, sessions and migrations."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
import psycopg
from sqlalchemy import Connection, DateTime, Engine, ForeignKey, MetaData, Uuid, create_engine, event, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from backend.errors import Conflict
from backend.settings import get_settings

CONVENTION = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
NULLABLE_JSON = JSONB(none_as_null=True)
MIGRATION_LOCK = 0x506C756D  # advisory lock key, "Plum"
CONNECTIONS = 30  # of one process to the database at the most
MANY = 1_000  # rows after which the database looks again at how many there are
KEPT = 24  # of them, kept open: opening one takes longer than most requests
RESTED_SECONDS = 1.0
MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


class NewerSchema(Conflict):
    title = "Newer database"


class Base(DeclarativeBase):
    """Every table. `dict` and `list` columns are JSONB, times carry a zone, ids are UUIDv7 made by Postgres."""

    metadata = MetaData(naming_convention=CONVENTION)
    type_annotation_map = {
        uuid.UUID: Uuid,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
        list[dict[str, Any]]: JSONB,
        list[str]: JSONB,
    }


class Row:
    """Mixin: an id that sorts by creation, and the time of creation."""

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ProjectRow(Row):
    """Mixin: a row that belongs to a project."""

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)


def look_again(session: Session, added: int, *tables: type[Base]) -> None:
    """After so many new rows in each of these tables, Postgres knows how many they hold: it counts by itself only after
    a while, and until then plans for what there was before.

    The tables stay locked against the like until the transaction ends, not against readers and writers.
    """
    if added >= MANY:
        session.execute(text(f"ANALYZE {', '.join(table.__tablename__ for table in tables)}"))


@lru_cache
def get_engine() -> Engine:
    """The engine of this process; `DATABASE_URL` must be set by now (`plumbline up` sets it for embedded servers)."""
    url = get_settings().database_url
    if url is None:
        raise RuntimeError("DATABASE_URL is not set: start the program with `plumbline up`, or name a database.")
    return make_engine(url)


def make_engine(url: str) -> Engine:
    """An engine with this project's habits: psycopg, pings, JSON with a strict encoder and a quick decoder."""
    engine = create_engine(
        normal_url(url),
        pool_size=KEPT,
        max_overflow=CONNECTIONS - KEPT,
        pool_use_lifo=True,  # few are busy, with their statements prepared; the others rest
        json_deserializer=orjson.loads,
    )
    _ask_who_rested(engine)
    return engine


def _ask_who_rested(engine: Engine) -> None:
    """A connection that has rested is asked whether it still leads anywhere, and replaced if not.  With many requests a
    second, asking each time would be one statement more for each of them: one that was in use within the last second
    may meet a database that was started again meanwhile, and its request fails once, with 503."""

    @event.listens_for(engine, "checkin")
    def rests(_: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
        entry.info["rests since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def wakes(connection: DBAPIConnection, entry: ConnectionPoolEntry, _: PoolProxiedConnection) -> None:
        since = entry.info.get("rests since")
        if since is None or time.monotonic() - since < RESTED_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error as gone:
            raise InvalidatePoolError from gone  # the pool opens another one, and forgets all that are as old


def normal_url(url: str) -> str:
    """`postgres://` and `postgresql://` name the psycopg 3 driver."""
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


@lru_cache
def _factory(engine: Engine) -> sessionmaker[Session]:
    return sessionmaker(engine, expire_on_commit=False)


@contextmanager
def transaction(engine: Engine | None = None) -> Iterator[Session]:
    """One unit of work: committed at the end, rolled back when the block raises."""
    with _factory(engine or get_engine())() as session, session.begin():
        yield session


def newest() -> str:
    """The revision of the newest schema that this program has."""
    return max(path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def known(revision: str) -> bool:
    """Whether this program has the schema of that revision."""
    return any(path.name.startswith(f"{revision}_") for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def revision(connection: Connection) -> str | None:
    """The revision of the schema that a database has; None in one without."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def migrate(url: str, wanted: str = "head", *, before: Callable[[str], object] | None = None) -> None:
    """Afterwards the database at `url` has the newest schema (or `wanted`). Safe when several programs start at once.

    One with an older schema is given to `before`, by its revision, while nobody else migrates.  Raises NewerSchema.
    """
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
            connection.commit()
            try:
                _migrate(connection, newest() if wanted == "head" else wanted, before)
            finally:
                connection.rollback()
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
                connection.commit()
    finally:
        engine.dispose()


def _migrate(connection: Connection, wanted: str, before: Callable[[str], object] | None) -> None:
    found = revision(connection)
    connection.rollback()
    if found == wanted:
        return
    if found is not None and not known(found):
        raise NewerSchema(
            f"The database has schema {found}, made by a newer Plumbline; this one knows up to {newest()}.",
            remedy="Start that version or a newer one, or restore a backup into another folder. Nothing was changed.",
        )
    if found is not None and before is not None:
        before(found)
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, wanted)
    connection.commit()
