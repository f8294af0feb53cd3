"""An instance of the version before: its paths become keys, and what people registered stays where it is."""

import uuid

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from backend.db import get_engine, make_engine
from plumbline.embedded import Embedded

RUN, FETCH, HASH = uuid.uuid4(), uuid.uuid4(), "ab" * 32
OLD = "/srv/old data/plumbline"
CHECKPOINTS = {
    "run": (f"{OLD}/runs/{RUN}/checkpoints/40", f"runs/{RUN}/checkpoints/40"),
    "hub": (f"{OLD}/checkpoints/{FETCH}", f"checkpoints/{FETCH}"),
    "toy": ("/usr/lib/python3/site-packages/alignment/toyworld/base", "package:alignment/toyworld/base"),
    "folder": (f"/models/checkpoints/{FETCH}", f"/models/checkpoints/{FETCH}"),
}
PROJECT = "INSERT INTO projects (name) VALUES ('Tour') RETURNING id"
CHECKPOINT = """INSERT INTO checkpoints (project_id, name, source, path, adapter, architecture, parameters, toy)
VALUES (:project, :source, :source, :path, false, 'LlamaForCausalLM', 1, false)"""
DATASET = """INSERT INTO datasets (project_id, name, kind, description, toy)
VALUES (:project, 'Pairs', 'paired', '', false) RETURNING id"""
SNAPSHOT = """INSERT INTO snapshots (project_id, dataset_id, hash, kind, policy, counts, path)
VALUES (:project, :dataset, :hash, 'paired', '{}', '{}', :path)"""


@pytest.fixture
def config() -> Config:
    config = Config()
    config.set_main_option("script_location", "migrations")
    return config


def test_upgrade(servers: Embedded, config: Config) -> None:
    """Whatever the data folder was called, rows find their files below the one that there is now."""
    name = f"t{uuid.uuid4().hex}"
    with get_engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    url = make_engine(servers.database_url).url.set(database=name).render_as_string(hide_password=False)
    engine = make_engine(url)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
        project = connection.execute(text(PROJECT)).scalar_one()
        for source, (before, _) in CHECKPOINTS.items():
            connection.execute(text(CHECKPOINT), {"project": project, "source": source, "path": before})
        dataset = connection.execute(text(DATASET), {"project": project}).scalar_one()
        path = f"{OLD}/snapshots/{HASH}"
        connection.execute(text(SNAPSHOT), {"project": project, "dataset": dataset, "hash": HASH, "path": path})
        connection.commit()
        command.upgrade(config, "head")
        connection.commit()
        found = connection.execute(text("SELECT source, path FROM checkpoints")).all()
        checkpoints = {source: path for source, path in found}  # noqa: C416  (rows are no pairs for a type checker)
        snapshot = connection.execute(text("SELECT path FROM snapshots")).scalar_one()
    engine.dispose()

    assert checkpoints == {source: after for source, (_, after) in CHECKPOINTS.items()}
    assert snapshot == f"snapshots/{HASH}"
