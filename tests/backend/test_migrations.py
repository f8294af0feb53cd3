"""The migrations: one line of them, down and up again, and equal to the models."""

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from backend.db import Base, get_engine, make_engine, migrate
from plumbline.embedded import Embedded


@pytest.fixture
def config() -> Config:
    config = Config()
    config.set_main_option("script_location", "migrations")
    return config


def test_single_head(config: Config) -> None:
    assert len(ScriptDirectory.from_config(config).get_heads()) == 1


def test_models_equal_migrations(servers: Embedded) -> None:
    """Nothing is in the models that the migrations do not make, nor the other way."""
    with get_engine().connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), Base.metadata)

    assert differences == []


def test_down_and_up(config: Config, empty_database: str) -> None:
    """Every migration can be undone and done again."""
    migrate(empty_database)
    engine = make_engine(empty_database)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        connection.commit()
        command.upgrade(config, "head")
        connection.commit()
        tables = connection.execute(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")).scalar_one()
    engine.dispose()

    assert tables == len(Base.metadata.tables) + 1


def test_two_at_once(empty_database: str) -> None:
    """Programs that start together migrate one after the other."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(migrate, [empty_database] * 2))


def test_people_keep_their_rights(config: Config, empty_database: str) -> None:
    """Roles of the first schema become memberships of every project; admins stay admins, and own the projects."""
    engine = make_engine(empty_database)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        connection.execute(text("INSERT INTO projects (name) VALUES ('Tour'), ('Other')"))
        connection.execute(
            text(
                "INSERT INTO users (name, password_hash, role, active) VALUES "
                "('ada', '-', 'admin', true), ('rita', '-', 'researcher', true), ('noor', '-', 'annotator', false)"
            )
        )
        connection.commit()
        command.upgrade(config, "head")
        rows = connection.execute(
            text(
                "SELECT users.name, admin, active, memberships.role, count(*) FROM users "
                "JOIN memberships ON user_id = users.id GROUP BY 1, 2, 3, 4 ORDER BY 1"
            )
        )
        assert [tuple(row) for row in rows] == [
            ("ada", True, True, "owner", 2),
            ("noor", False, False, "annotator", 2),
            ("rita", False, True, "researcher", 2),
        ]
    engine.dispose()
