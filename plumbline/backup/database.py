"""Rows to files and back: one consistent picture of every table, loaded whole or not at all."""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql
from sqlalchemy.engine import make_url

from backend.db import make_engine
from plumbline.backup.manifest import ArchiveRefused, Table

ROOT = Path(__file__).resolve().parents[2]
_COLUMNS = """
SELECT c.relname, array_agg(a.attname ORDER BY a.attnum) FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace GROUP BY c.relname ORDER BY c.relname
"""
_KEYS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'f' AND connamespace = 'public'::regnamespace ORDER BY 1, 2
"""
Connection = psycopg.Connection[Any]


def connect(url: str) -> Connection:
    """A plain connection to the database at SQLAlchemy's `url`."""
    where = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(where, client_encoding="utf8", options="-c timezone=UTC -c datestyle=ISO")


def columns(connection: Connection) -> dict[str, list[str]]:
    """Every table of the program with the columns that hold data."""
    return {name: found for name, found in connection.execute(_COLUMNS) if name != "alembic_version"}


def revision(connection: Connection) -> str | None:
    """The revision of the schema; None in a database without one."""
    if connection.execute("SELECT to_regclass('public.alembic_version')").fetchone() == (None,):
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def dump(connection: Connection, folder: Path) -> dict[str, Table]:
    """Afterwards `folder` holds `<table>.copy.gz` of every table, as the connection's transaction sees them."""
    found = {}
    for name, names in columns(connection).items():
        size = 0
        statement = sql.SQL("COPY {} ({}) TO STDOUT").format(sql.Identifier(name), _list(names))
        with gzip.open(folder / f"{name}.copy.gz", "wb", compresslevel=1) as file, connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for block in copy:
                    size += len(block)
                    file.write(block)
            found[name] = Table(columns=names, rows=cursor.rowcount, bytes=size)
    return found


def load(connection: Connection, folder: Path, tables: Mapping[str, Table]) -> None:
    """Afterwards the empty tables hold the rows of `folder`; keys between tables are checked again at the end.

    The caller's transaction is the whole of it.  Raises ArchiveRefused for rows that do not fit.
    """
    known = columns(connection)
    keys = connection.execute(_KEYS).fetchall()
    try:
        for table, name, _ in keys:
            connection.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(*_names(table, name)))
        for table in known:
            connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.Identifier(table)))
        for table, facts in tables.items():
            if set(facts.columns) != set(known.get(table, ())):
                raise ArchiveRefused(f"The archive's table {table} is none of its schema. Nothing was restored.")
            _load(connection, folder / f"{table}.copy.gz", table, facts)
        for table, name, definition in keys:
            added = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(*_names(table, name))
            connection.execute(added + sql.SQL(definition))
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise ArchiveRefused("The archive's rows do not fit its schema. Nothing was restored.") from error


def _load(connection: Connection, path: Path, table: str, facts: Table) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), _list(facts.columns))
    with gzip.open(path, "rb") as file, connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            _pour(file, copy, table, facts.bytes)
        if cursor.rowcount != facts.rows:
            raise ArchiveRefused(f"The archive's table {table} has another number of rows than it says.")


def _pour(file: gzip.GzipFile, copy: psycopg.Copy, table: str, announced: int) -> None:
    """Pass on what was announced and not a byte more: a small file may unpack to more than any disk holds."""
    left = announced
    try:
        while block := file.read(1 << 20):
            left -= len(block)
            if left < 0:
                raise ArchiveRefused(f"The archive's table {table} is larger than it says. Nothing was restored.")
            copy.write(block)
    except (EOFError, gzip.BadGzipFile) as error:
        raise ArchiveRefused(f"The archive's table {table} cannot be unpacked. Nothing was restored.") from error


def empty(connection: Connection) -> bool:
    """Whether no table of the database holds a row; a schema that a broken-off restore left behind is empty."""
    return not any(
        connection.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(table))).fetchone()
        for table in columns(connection)
    )


def clear(connection: Connection) -> None:
    """Afterwards the database has no table of the program; call it for one that `empty` has found to be so."""
    for table in (*columns(connection), "alembic_version"):
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(sql.Identifier(table)))


def upgrade(url: str, wanted: str) -> None:
    """Afterwards the database has the schema of revision `wanted` (or `head`)."""
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, wanted)
            connection.commit()
    finally:
        engine.dispose()


def known(wanted: str) -> bool:
    """Whether this program has the schema revision."""
    return any((ROOT / "migrations" / "versions").glob(f"{wanted}_*.py"))


def _list(names: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


def _names(table: str, constraint: str) -> tuple[sql.Identifier, sql.Identifier]:
    return sql.Identifier(table), sql.Identifier(constraint)
