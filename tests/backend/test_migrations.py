"""The migrations: one line of them, down and up again, and equal to the models."""

import json
import uuid

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select, text

from backend.datasets.models import Dataset, Item
from backend.db import Base, get_engine, make_engine, migrate, transaction
from backend.labels import tallies
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


def test_tokens_of_one_use_do_not_become_full_ones(config: Config, empty_database: str) -> None:
    """Going back to before tokens were for feedback alone takes those away, and no others."""
    migrate(empty_database)
    engine = make_engine(empty_database)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        for statement in (
            "INSERT INTO users (name, password_hash, admin, active) VALUES ('ada', '-', false, true)",
            'INSERT INTO api_tokens (user_id, name, prefix, token_hash, read_only, "only")'
            " SELECT id, given.name, '', convert_to(given.name, 'UTF8'), false, given.use"
            " FROM users, (VALUES ('shop', 'feedback'), ('all', NULL)) AS given (name, use)",
        ):
            connection.execute(text(statement))
        connection.commit()
        command.downgrade(config, "0024")
        assert connection.scalars(text("SELECT name FROM api_tokens")).all() == ["all"]
    engine.dispose()


def test_labels_are_counted(config: Config, empty_database: str) -> None:
    """An upgrade counts what is labelled already: items by split, labels by source, who has judged how many."""
    engine = make_engine(empty_database)
    ids = {name: uuid.uuid4() for name in ("project", "ada", "noor", "dataset", "one", "two", "three")}
    said = [
        ("one", None, "import", {"strength": 1}, 1),
        ("one", "ada", "person", {"strength": 1}, 1),
        ("one", "ada", "person", {"retracted": True}, 2),
        ("two", "ada", "person", {"strength": 2}, 1),
        ("two", "noor", "vote", {"skip": "unsure"}, 1),
        ("three", "noor", "person", {"skip": "unsure"}, 1),
    ]
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0015")
        for statement in (
            "INSERT INTO projects (id, name) VALUES (:project, 'P')",
            "INSERT INTO users (id, name, password_hash, admin, active)"
            " VALUES (:ada, 'ada', '-', false, true), (:noor, 'noor', '-', false, true)",
            "INSERT INTO datasets (id, project_id, name, kind, description, toy)"
            " VALUES (:dataset, :project, 'D', 'paired', '', false)",
            "INSERT INTO items"
            " (id, project_id, dataset_id, position, split, prompt, prompt_hash, content_hash, responses, facts)"
            " SELECT id, :project, :dataset, n, CASE n WHEN 3 THEN 'test' ELSE 'train' END, '[]', n, n, '[]', '{}'"
            " FROM unnest(ARRAY[:one, :two, :three]) WITH ORDINALITY AS given (id, n)",
        ):
            connection.execute(text(statement), ids)
        row = "INSERT INTO labels (project_id, item_id, annotator_id, source, value, version)"
        for item, person, source, value, version in said:
            connection.execute(
                text(f"{row} VALUES (:project, :item, :person, :source, :value, :version)"),
                {
                    "project": ids["project"],
                    "item": ids[item],
                    "person": ids[person] if person else None,
                    "source": source,
                    "value": json.dumps(value),
                    "version": version,
                },
            )
        connection.commit()
        command.upgrade(config, "head")
        connection.commit()
    with transaction(engine) as session:
        assert session.get_one(Dataset, ids["dataset"]).splits == {"train": 2, "test": 1}
        judged = session.scalars(select(Item.judged).order_by(Item.position)).all()
        before = tallies.sources(session, ids["dataset"]), tallies.counts(session, [ids["dataset"]], ids["ada"])
        tallies.recount(session, [ids["dataset"]])
        after = tallies.sources(session, ids["dataset"]), tallies.counts(session, [ids["dataset"]], ids["ada"])
    engine.dispose()

    assert judged == [False, True, False]
    assert before == after == ({"import": 1, "person": 4, "vote": 1}, {ids["dataset"]: tallies.Counts(2, 1, 1)})
