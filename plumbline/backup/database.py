"""Rows to files and back: one consistent picture of every table, loaded whole or not at all."""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from plumbline.backup.manifest import ArchiveRefused, HalfRestored, NotEmpty, Table

MARK = "plumbline_restoring"
_COLUMNS = """
SELECT c.relname, array_agg(a.attname ORDER BY a.attnum) FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace GROUP BY c.relname ORDER BY c.relname
"""
_KEYS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'f' AND connamespace = 'public'::regnamespace ORDER BY 1, 2
"""
_FUNCTIONS = """
SELECT p.oid::regprocedure::text FROM pg_proc p
WHERE p.pronamespace = 'public'::regnamespace AND p.proowner = current_user::regrole
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""
Connection = psycopg.Connection[Any]


def connect(url: str) -> Connection:
    """A plain connection to the database at SQLAlchemy's `url`."""
    where = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(where, client_encoding="utf8", options="-c timezone=UTC -c datestyle=ISO")


def columns(connection: Connection) -> dict[str, list[str]]:
    """Every table of the program with the columns that hold data."""
    return {name: found for name, found in connection.execute(_COLUMNS) if name not in ("alembic_version", MARK)}


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
            _triggers(connection, table, "DISABLE")  # what they would add is among the rows
        for table, facts in tables.items():
            if set(facts.columns) != set(known.get(table, ())):
                raise ArchiveRefused(f"The archive's table {table} is none of its schema. Nothing was restored.")
            _load(connection, folder / f"{table}.copy.gz", table, facts)
        for table, name, definition in keys:
            added = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(*_names(table, name))
            connection.execute(added + sql.SQL(definition))
        for table in known:
            _triggers(connection, table, "ENABLE")
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise ArchiveRefused("The archive's rows do not fit its schema. Nothing was restored.") from error


def _triggers(connection: Connection, table: str, what: LiteralString) -> None:
    connection.execute(sql.SQL("ALTER TABLE {} " + what + " TRIGGER USER").format(sql.Identifier(table)))


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


def begin(connection: Connection) -> None:
    """Afterwards the database is empty and marked as one that is being restored: nothing starts on it until `end`.

    Only one that had no tables is taken, or one that a restore which was cut off has marked.  Raises NotEmpty.
    """
    if marked(connection):
        clear(connection)
    elif columns(connection):
        raise NotEmpty("The database that DATABASE_URL names is not empty. Restore into a new, empty one.")
    connection.execute(f"CREATE TABLE IF NOT EXISTS {MARK} (began timestamptz DEFAULT now())")
    connection.commit()


def marked(connection: Connection) -> bool:
    """Whether a restore into the database has not ended."""
    return connection.execute("SELECT to_regclass(%s)", [f"public.{MARK}"]).fetchone() != (None,)


def refuse_half_restored(url: str) -> None:
    """Raises HalfRestored for a database into which a restore was cut off, or is going on."""
    with connect(url) as connection:
        if marked(connection):
            raise HalfRestored(
                "A restore into the database that DATABASE_URL names has not ended, so what it holds is not whole. "
                "If it was cut off, run `plumbline restore` again: it begins anew."
            )


def end(connection: Connection) -> None:
    """Afterwards the database counts as whole."""
    connection.execute(f"DROP TABLE IF EXISTS {MARK}")
    connection.commit()


def clear(connection: Connection) -> None:
    """Afterwards the database has no table and no function of ours; call it for one that was empty to begin with."""
    for table in (*columns(connection), "alembic_version"):
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(sql.Identifier(table)))
    for (function,) in connection.execute(_FUNCTIONS).fetchall():
        connection.execute(sql.SQL("DROP FUNCTION {}").format(sql.SQL(function)))
    connection.commit()


def _list(names: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


def _names(table: str, constraint: str) -> tuple[sql.Identifier, sql.Identifier]:
    return sql.Identifier(table), sql.Identifier(constraint)
