"""Restoring: every table and file, into named databases and storages, from older schemas, whole or not at all."""

import json
import resource
import uuid
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from backend import storage
from backend.accounts.models import Role
from backend.db import Base, get_engine, make_engine, migrate, transaction
from backend.errors import AppError
from backend.projects import service as projects
from backend.secrets import service as secrets
from backend.secrets.models import SecretKind
from backend.secrets.schemas import SecretIn
from backend.secrets.seal import SecretUnreadable
from backend.settings import Settings
from plumbline.backup import database
from plumbline.backup.make import make
from plumbline.backup.manifest import NotEmpty
from plumbline.backup.restore import restore
from plumbline.services import Trouble, require_schema
from tests import s3
from tests.backups import TINY, Objects, files, instance, objects, place, quiet, rows
from tests.people import add_person
from tests.rows import fill


def test_every_table_and_every_file_comes_back(
    full: Objects, settings: Settings, tmp_path: Path, empty_database: str
) -> None:
    """Into a named database: no table is without a row here, and all rows and files are equal afterwards. A folder that
    was registered inside the old data folder is named by its place in the new one."""
    manifest = make(settings, tmp_path / "a.tar", secrets=False, tell=quiet)
    assert {name for name in Base.metadata.tables if not manifest.tables[name].rows} == set()
    assert (manifest.missing, manifest.outside) == ([], [])
    assert sorted(manifest.objects) == sorted(full)

    with instance(tmp_path / "there", empty_database) as there:
        restore(tmp_path / "a.tar", there, quiet)
        require_schema(there)
    ((old, key),) = manifest.moved.items()
    before = {
        table: [row.replace(old, key) for row in found] for table, found in rows(str(settings.database_url)).items()
    }
    assert rows(empty_database) == before
    assert objects(tmp_path / "there", full) == full
    with database.connect(empty_database) as connection, pytest.raises(psycopg.errors.RaiseException):
        connection.execute("DELETE FROM audit_events")  # what guards rows guards them still


def test_a_database_with_tables_is_refused(
    full: Objects, settings: Settings, tmp_path: Path, empty_database: str
) -> None:
    """Whosever tables they are, and though they may be empty: nothing in the database or the folder is touched."""
    make(settings, tmp_path / "a.tar", secrets=False, tell=quiet)
    with database.connect(empty_database) as connection:
        connection.execute("CREATE TABLE theirs (id int)")
    with instance(tmp_path / "there", empty_database) as there, pytest.raises(NotEmpty, match="not empty"):
        restore(tmp_path / "a.tar", there, quiet)
    assert rows(empty_database) == {"theirs": []}
    assert {path.name for path in (tmp_path / "there").iterdir()} == {"lock", "logs"}


def test_a_folder_with_anything_in_it_is_refused(
    full: Objects, settings: Settings, tmp_path: Path, empty_database: str
) -> None:
    """A file of somebody's stays as it is, and the database stays empty."""
    make(settings, tmp_path / "a.tar", secrets=False, tell=quiet)
    place(tmp_path / "there", {"notes.txt": b"mine"})
    with instance(tmp_path / "there", empty_database) as there, pytest.raises(NotEmpty, match=r"notes\.txt"):
        restore(tmp_path / "a.tar", there, quiet)
    assert (tmp_path / "there" / "notes.txt").read_bytes() == b"mine"
    assert rows(empty_database) == {}


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the event loop's sockets outlive a test
def test_storage_behind_a_url(full: Objects, settings: Settings, tmp_path: Path, empty_database: str) -> None:
    """What lies in a bucket is fetched into the archive, and put into another bucket's prefix."""
    with get_engine().begin() as connection:
        gone = connection.scalar(text("DELETE FROM checkpoints WHERE path LIKE '/%' RETURNING path"))
    held = {key: value for key, value in full.items() if not gone.endswith(key)}
    with s3.serving() as server:
        old = {**server.environment, "PLUMBLINE_STORAGE": "s3://plumbline/old"}
        with instance(tmp_path / "here", str(settings.database_url), **old) as here:
            for key in held:
                storage.put(settings.data / key, key)
            manifest = make(here, tmp_path / "a.tar", secrets=False, tell=quiet)
        assert sorted(manifest.objects) == sorted(held)
        new = {**server.environment, "PLUMBLINE_STORAGE": "s3://plumbline/new"}
        with instance(tmp_path / "there", empty_database, **new) as there:
            restore(tmp_path / "a.tar", there, quiet)
        with instance(tmp_path / "third", empty_database, **new), storage.using() as use:
            places = {key: use(key) for key in held}
            found = {key: {"": at.read_bytes()} if at.is_file() else files(at) for key, at in places.items()}
    assert found == held
    assert rows(empty_database) == rows(str(settings.database_url))


@pytest.mark.parametrize("with_key", [True, False])
def test_secrets_open_with_their_key_alone(
    clean: None, settings: Settings, tmp_path: Path, empty_database: str, with_key: bool
) -> None:
    """Sealed values are always in the archive, their key only when asked for. Without it they cannot be opened, which
    is said with what to do; the old key file, brought there by hand, opens them."""
    with transaction() as session:
        project = projects.default(session)
        owner = add_person(session, Role.owner)
        body = SecretIn(kind=SecretKind.hub, value=SecretStr("hf_held_dear"))
        secrets.put(session, project, owner, "hub", body)
    key = (settings.data / "secret.key").read_bytes()
    manifest = make(settings, tmp_path / "a.tar", secrets=with_key, tell=quiet)
    assert manifest.secrets is with_key
    assert (key.strip() in (tmp_path / "a.tar").read_bytes()) is with_key

    with instance(tmp_path / "there", empty_database) as there:
        restore(tmp_path / "a.tar", there, quiet)
        engine = make_engine(empty_database)
        with transaction(engine) as session:
            if not with_key:
                with pytest.raises(SecretUnreadable, match="another key") as refused:
                    secrets.reveal(session, project.id, "hub")
                assert "secret.key" in str(refused.value.remedy)
                (there.data / "secret.key").write_bytes(key)
            assert secrets.reveal(session, project.id, "hub") == "hf_held_dear"
        engine.dispose()
    assert (tmp_path / "there" / "secret.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("revision", ["0005", "0010"])
def test_an_archive_of_an_older_schema_is_upgraded(
    tmp_path: Path, settings: Settings, make_database: Callable[[], str], revision: str
) -> None:
    """Its rows become what an upgrade where they were would have made of them; files come along by their old paths."""
    old, new = make_database(), make_database()
    migrate(old, revision)
    key = f"checkpoints/{uuid.uuid4()}"
    engine = make_engine(old)
    with instance(tmp_path / "here", old) as here:
        place(here.data / key, TINY)
        with engine.begin() as connection:
            fill(connection)
            path = str(here.data / key) if revision < "0007" else key
            connection.execute(text("UPDATE checkpoints SET path = :path, source = 'hub'"), {"path": path})
        engine.dispose()
        manifest = make(here, tmp_path / "a.tar", secrets=False, tell=quiet)
    assert (manifest.revision, manifest.objects) == (revision, [key])
    with instance(tmp_path / "there", new) as there:
        restore(tmp_path / "a.tar", there, quiet)
    migrate(old)
    before, after = rows(old), rows(new)
    assert {name: len(found) for name, found in after.items()} == {name: len(found) for name, found in before.items()}
    kept = manifest.tables.keys()  # in others the migrations themselves make rows, with ids of their own
    assert {name: told(name, after) for name in kept} == {name: told(name, before) for name in kept}
    assert files(tmp_path / "there" / key) == TINY


def told(name: str, found: dict[str, list[str]]) -> list[str]:
    """The rows of a table without the id of a task, which a migration made."""
    if name != "leases":
        return found[name]
    return [
        json.dumps({key: value for key, value in json.loads(row).items() if key != "task_id"}) for row in found[name]
    ]


def test_what_was_placed_goes_when_a_restore_fails(
    full: Objects, settings: Settings, tmp_path: Path, empty_database: str
) -> None:
    """A storage that breaks off half-way: the objects that came are gone again, the database is empty, and so is the
    folder; what lay in the storage before stays."""
    make(settings, tmp_path / "a.tar", secrets=False, tell=quiet)
    store = place(tmp_path / "store", {"uploads": b"in the way", "runs/kept": b"kept"})
    with instance(tmp_path / "there", empty_database, PLUMBLINE_STORAGE=str(store)) as there:
        with pytest.raises((AppError, OSError)):
            restore(tmp_path / "a.tar", there, quiet)
        assert files(store) == {"uploads": b"in the way", "runs/kept": b"kept"}
        assert rows(empty_database) == {}
        assert {path.name for path in there.data.iterdir()} == {"lock", "logs"}
        (store / "uploads").unlink()
        restore(tmp_path / "a.tar", there, quiet)
        require_schema(there)


def test_a_full_disk_leaves_no_half_restored_folder(
    full: Objects, settings: Settings, tmp_path: Path, empty_database: str
) -> None:
    """It is told in a sentence; the folder and the database are as empty as before."""
    make(settings, tmp_path / "a.tar", secrets=False, tell=quiet)
    with instance(tmp_path / "there", empty_database) as there:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(TINY["weights/model.safetensors"]) // 2, most))
        try:
            with pytest.raises(Trouble, match=r"The disk is full\. Nothing was restored"):
                restore(tmp_path / "a.tar", there, quiet)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        assert {path.name for path in there.data.iterdir()} == {"lock", "logs"}
        assert rows(empty_database) == {}
