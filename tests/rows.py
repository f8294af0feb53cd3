"""A row in every table, made from the tables themselves, with text that is hard to carry."""

import uuid
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

HARD = "zoë\t\\N \\. \n\r'\"%;--\u2028\x7f🙂"


def fill(connection: sa.Connection) -> list[str]:
    """Afterwards every table that was empty holds a row whose keys lead to rows of other tables; returns their names.

    The tables are read from the database, so this works for every schema there ever was.
    """
    found = sa.MetaData()
    found.reflect(connection)
    waiting = {name: table for name, table in sorted(found.tables.items()) if name != "alembic_version"}
    filled = []
    while waiting:
        name, table = next((name, table) for name, table in waiting.items() if not _needs(table) & waiting.keys())
        del waiting[name]
        if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is None:
            connection.execute(table.insert().values(_values(connection, table)))
            filled.append(name)
    return filled


def _needs(table: sa.Table) -> set[str]:
    """The tables that must have a row before this one can have one."""
    return {key.column.table.name for column in table.columns if not column.nullable for key in column.foreign_keys}


def _values(connection: sa.Connection, table: sa.Table) -> dict[str, Any]:
    """A value for every column that has no default; keys to tables that are still empty stay null."""
    made = {}
    for column in table.columns:
        if column.foreign_keys:
            there = next(iter(column.foreign_keys)).column
            made[column.name] = connection.scalar(sa.select(there).limit(1))
        elif column.server_default is None:
            made[column.name] = _value(column.type)
    return made


def _value(kind: sa.types.TypeEngine[Any]) -> Any:
    if isinstance(kind, sa.String):
        return HARD * 2 if kind.length is None else "ab" * (kind.length // 2)
    if isinstance(kind, JSONB):
        return {"": [1, -1.5e300, None, True, HARD], "nested": {HARD: []}}
    if isinstance(kind, sa.ARRAY):
        return [_value(kind.item_type), _value(kind.item_type)]
    if isinstance(kind, sa.LargeBinary):
        return b"\x00\xff\\x\n" + uuid.uuid4().bytes
    values: dict[type[sa.types.TypeEngine[Any]], Any] = {
        sa.Uuid: uuid.uuid4(),
        sa.Boolean: True,
        sa.SmallInteger: 3,
        sa.BigInteger: 1 << 40,
        sa.Integer: 7,
        sa.Float: 0.1,
        sa.DateTime: datetime.now(UTC),
    }
    for known, value in values.items():
        if isinstance(kind, known):
            return value
    raise AssertionError(f"No value is known for a column of the type {kind}.")
