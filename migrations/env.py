"""Alembic's entry: one transaction a migration, short lock time, on a connection that the caller opened."""

import importlib
import importlib.util
import pkgutil

from alembic import context
from sqlalchemy import Connection, create_engine, text

import backend
from backend.db import Base, normal_url
from backend.settings import get_settings

for module in pkgutil.iter_modules(backend.__path__):
    name = f"backend.{module.name}.models"
    if module.ispkg and importlib.util.find_spec(name) is not None:
        importlib.import_module(name)


def run(connection: Connection) -> None:
    """Bring `connection`'s database to the wanted revision."""
    connection.execute(text("SET lock_timeout = '4s'"))
    connection.commit()
    context.configure(
        connection=connection, target_metadata=Base.metadata, transaction_per_migration=True, compare_type=True
    )
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    connection = context.config.attributes.get("connection")
    if connection is not None:
        run(connection)
        return
    url = get_settings().database_url
    if url is None:
        raise SystemExit("Set DATABASE_URL to the database to migrate.")
    with create_engine(normal_url(url)).connect() as opened:
        run(opened)


main()
