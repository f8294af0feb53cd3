"""Upgrading: an instance of the first schema loses nothing, works, and can go back; a newer one is refused."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from starlette.testclient import TestClient

from backend.db import MIGRATIONS, NewerSchema, get_engine, make_engine, migrate, newest
from plumbline.backup import database
from plumbline.backup.restore import restore
from plumbline.embedded import GOING_BACK, Embedded
from plumbline.servers import ServerFailed
from plumbline.services import OtherSchema, Trouble, require_schema
from plumbline.upgrade import FOLDER, UpgradeFailed, upgrade
from tests.backups import environment, files, free_port, instance, plumbline, quiet, rows
from tests.rows import fill

OLD = (Path(__file__).parent / "schema_0005.sql").read_text(encoding="utf-8")
PASSWORD = "old-password-1"
ORIGIN = "http://localhost"
# What a migration changes on purpose in the rows that were there.
CHANGED = {
    "0007": {("checkpoints", "path"), ("snapshots", "path")},
    "0016": {("datasets", "splits")},
    "0039": {("accuracies", "done")},
}
Rows = dict[str, list[dict[str, Any]]]


def make_old(url: str) -> None:
    """Afterwards the database is that of an instance of schema 0005."""
    migrate(url, "0005")
    with database.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(OLD.encode())


def steps() -> list[str]:
    """The revisions after 0005, in their order."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    return [found.revision for found in script.walk_revisions("0005", "heads")][-2::-1]


def decoded(url: str) -> Rows:
    return {table: [json.loads(row) for row in found] for table, found in rows(url).items()}


def kept(before: Rows, after: Rows, changed: set[tuple[str, str]]) -> Rows:
    """What is left of the rows of before: the columns that are still there and mean the same."""
    left: Rows = {}
    for table, found in before.items():
        still = {column for row in after[table] for column in row}
        left[table] = [
            {column: value for column, value in row.items() if column in still and (table, column) not in changed}
            for row in found
        ]
    return left


def ordered(found: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in found)


def test_every_step_keeps_every_row(empty_database: str) -> None:
    """From 0005 to the newest schema, one step at a time, with a row in every table that there is at each: no row goes,
    and no value changes but where a migration says so."""
    make_old(empty_database)
    engine = make_engine(empty_database)
    for step in steps():
        with engine.begin() as connection:
            fill(connection)
        before = decoded(empty_database)
        migrate(empty_database, step)
        after = decoded(empty_database)
        expected = kept(before, after, CHANGED.get(step, set()))
        for table, found in expected.items():
            columns = {column for row in found for column in row}
            now = [{column: value for column, value in row.items() if column in columns} for row in after[table]]
            assert (step, table, ordered(now)) == (step, table, ordered(found))
    engine.dispose()
    assert steps()[-1] == newest()


@contextmanager
def program(folder: Path, url: str) -> Iterator[TestClient]:
    """The API on a database of its own, somebody of then signed in."""
    from backend.app import create_app

    get_engine().dispose()
    get_engine.cache_clear()
    redis = os.environ["REDIS_URL"]
    try:
        with instance(folder, url, REDIS_URL=redis) as settings:
            app = create_app(settings)
            with TestClient(app, base_url=ORIGIN, headers={"origin": ORIGIN}) as client:
                client.post("/api/v1/session", json={"name": "admin", "password": PASSWORD}).raise_for_status()
                yield client
    finally:
        get_engine().dispose()
        get_engine.cache_clear()


def test_the_application_works_on_an_upgraded_database(empty_database: str, tmp_path: Path) -> None:
    """People sign in with the password they had, see their datasets, runs and checkpoints, label on, and read the
    report of an evaluation of then."""
    make_old(empty_database)
    with instance(tmp_path / "data", empty_database) as settings:
        upgrade(settings, lambda _: None)
    with program(tmp_path / "data", empty_database) as client:

        def get(path: str) -> Any:
            return client.get(f"/api/v1{path}").raise_for_status().json()

        names = {row["name"]: row for row in get("/datasets")["items"]}
        pairs = next(row for name, row in names.items() if name.startswith("Tour pairs"))
        assert len(get(f"/datasets/{pairs['id']}/items?limit=100")["items"]) == 20
        (run,) = get("/runs")["items"]
        assert get(f"/runs/{run['id']}")["state"] == "succeeded"
        assert get(f"/runs/{run['id']}/metrics")["series"]
        assert {event["kind"] for event in get(f"/runs/{run['id']}/events")["items"]} >= {"checkpoint", "done"}
        assert len(get("/checkpoints")["items"]) == 2
        (evaluation,) = get("/evaluations")["items"]
        pair = get(f"/evaluations/{evaluation['id']}/report")["tables"][0]["pairs"][0]
        assert pair["win_rate"]["n"] == 4
        assert get("/me")["name"] == "admin"

        cards = client.post(f"/api/v1/datasets/{pairs['id']}/cards", json={"n": 1}).raise_for_status().json()["cards"]
        label = {"client_id": str(uuid.uuid4()), "lease": cards[0]["lease"], "value": {"strength": 1}, "seconds": 1.0}
        client.post(f"/api/v1/items/{cards[0]['item_id']}/labels", json=label).raise_for_status()
        assert cards[0]["item_id"] in {row["item_id"] for row in get(f"/datasets/{pairs['id']}/labels")["items"]}


def test_an_upgrade_can_be_gone_back_on(make_database: Callable[[], str], tmp_path: Path) -> None:
    """The rows of before are copied first, and it is told where, and how to go back: into a new database, to the schema
    of then, with a folder that keeps its files. A second start copies nothing."""
    url, other = make_database(), make_database()
    make_old(url)
    before = rows(url)
    said: list[str] = []
    with instance(tmp_path / "data", url) as settings:
        upgrade(settings, said.append)
        (copy,) = (settings.data / FOLDER).iterdir()
        upgrade(settings, said.append)
    assert len(said) == 1
    assert f"from schema 0005 to {newest()}" in said[0]
    assert f"run `plumbline restore {copy}`" in said[0]
    assert (copy.stat().st_mode & 0o077, copy.parent.stat().st_mode & 0o077) == (0, 0)

    (tmp_path / "data" / "checkpoints").mkdir()
    (tmp_path / "data" / "checkpoints" / "kept").write_text("kept")
    held = files(tmp_path / "data")
    with instance(tmp_path / "data", other) as settings:
        restore(copy, settings, quiet)
        with pytest.raises(OtherSchema, match="schema 0005"):
            require_schema(settings)
    assert rows(other) == before
    assert {name: data for name, data in files(tmp_path / "data").items() if name != "lock"} == {
        name: data for name, data in held.items() if name != "lock"
    }


def test_without_a_copy(make_database: Callable[[], str], tmp_path: Path) -> None:
    """Where the copy cannot be made nothing is upgraded, unless it is waived."""
    url = make_database()
    migrate(url, "0012")
    with instance(tmp_path / "data", url) as settings:
        settings.data.mkdir()
        (settings.data / FOLDER).write_text("in the way")
        with pytest.raises((UpgradeFailed, OSError)):
            upgrade(settings, print)
    engine = make_engine(url)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "0012"
    engine.dispose()
    said: list[str] = []
    with instance(tmp_path / "data", url, PLUMBLINE_UPGRADE_COPY="false") as settings:
        upgrade(settings, said.append)
        require_schema(settings)
    assert said == [f"The database is upgraded from schema 0012 to {newest()}, without a copy."]


def test_an_upgrade_that_fails_tells_the_way_on_and_back(make_database: Callable[[], str], tmp_path: Path) -> None:
    """Something else holds a table: the rows stay whole, the message says what to do, and the next start succeeds."""
    url = make_database()
    migrate(url, "0016")
    with database.connect(url) as other, instance(tmp_path / "data", url) as settings:
        other.execute("LOCK TABLE api_tokens IN SHARE MODE")
        with pytest.raises(UpgradeFailed, match=r"Stop whatever else uses it.*plumbline restore .*0016-"):
            upgrade(settings, lambda _: None)
        other.rollback()
        upgrade(settings, lambda _: None)
        require_schema(settings)


def test_a_newer_database_is_refused(make_database: Callable[[], str], tmp_path: Path) -> None:
    """Nothing is changed in it, and the sentence says which version to use; parts that start alone say it too."""
    url = make_database()
    migrate(url)
    with database.connect(url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with instance(tmp_path / "data", url) as settings:
        with pytest.raises(NewerSchema, match="schema 9999, made by a newer Plumbline"):
            upgrade(settings, print)
        with pytest.raises(OtherSchema, match="install the newer version"):
            require_schema(settings)
        assert not (settings.data / FOLDER).exists()


@pytest.mark.slow
@pytest.mark.usefixtures("warm")
def test_a_folder_goes_up_and_back(tmp_path: Path) -> None:
    """The private database of a folder: `migrate` copies it before; `restore` of the copy sets the present one aside
    and brings back the rows of then; `up` on a newer schema says so and changes nothing."""
    folder = tmp_path / "data"
    with Embedded(folder, fsync=False, valkey=False) as servers:
        make_old(servers.database_url)
        before = rows(servers.database_url)
    up = plumbline("migrate", env=environment(folder))
    assert up.returncode == 0, up.stderr
    (copy,) = (folder / FOLDER).iterdir()
    assert str(copy) in up.stdout.replace("\n", "")

    back = plumbline("restore", str(copy), env=environment(folder))
    assert back.returncode == 0, back.stderr
    assert "as it was before the upgrade, schema 0005" in back.stdout
    assert len(list(folder.glob("postgres.aside-*"))) == 1
    assert not (folder / GOING_BACK).exists()
    with Embedded(folder, fsync=False, valkey=False) as servers:
        assert rows(servers.database_url) == before
        with database.connect(servers.database_url) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
    refused = plumbline("up", env=environment(folder, PLUMBLINE_PORT=free_port()))
    assert refused.returncode == 1
    assert "schema 9999, made by a newer Plumbline" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_cut_off_between_two_databases(tmp_path: Path) -> None:
    """A folder whose database was set aside, and whose older one is not in its place, does not start with an empty one:
    it says what to run."""
    (tmp_path / GOING_BACK / "postgres").mkdir(parents=True)
    with pytest.raises(ServerFailed, match=r"was cut off\. Run the same `plumbline restore` again"):
        Embedded(tmp_path, valkey=False).start()
    assert not (tmp_path / "postgres").exists()


def test_a_copy_of_rows_is_no_whole_backup(make_database: Callable[[], str], tmp_path: Path) -> None:
    """Going back into a named database needs an empty one, and a half-restored folder is not gone back on."""
    url = make_database()
    migrate(url, "0016")
    with instance(tmp_path / "data", url) as settings:
        upgrade(settings, lambda _: None)
        (copy,) = (settings.data / FOLDER).iterdir()
        with pytest.raises(Trouble, match="not empty"):
            restore(copy, settings, quiet)
        assert not (settings.data / GOING_BACK).exists()
        (settings.data / ".restoring").mkdir()
        with pytest.raises(Trouble, match="was cut off"):
            restore(copy, settings, quiet)


def test_verdicts_that_do_not_say_of_which_response(empty_database: str) -> None:
    """What a judge had said of labelled pairs before 0039 is not taken for what it was not: what has not succeeded has
    nothing decided, what has keeps its result."""
    migrate(empty_database, "0038")
    engine = make_engine(empty_database)
    said = {"llm": [[str(uuid.uuid4()), False, 0.25, None]]}
    values = {"said": json.dumps(said), "result": json.dumps({"parts": []}), "id": str(uuid.uuid4())}
    with engine.begin() as connection:
        fill(connection)
        connection.execute(
            sa.text("UPDATE accuracies SET said = :said, result = :result, state = 'succeeded', done = 1"), values
        )
        changed = "jsonb_build_object('id', CAST(:id AS text), 'state', 'cancelled', 'result', NULL)"
        copied = f"SELECT (jsonb_populate_record(one, {changed})).* FROM accuracies AS one"  # noqa: S608
        connection.execute(sa.text(f"INSERT INTO accuracies {copied}"), values)
    migrate(empty_database, "0039")
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM accuracy_verdicts")) == 0
        found = connection.execute(sa.text("SELECT state, done, result FROM accuracies ORDER BY state")).all()
    engine.dispose()
    assert [tuple(row) for row in found] == [("cancelled", 0, None), ("succeeded", 1, {"parts": []})]
