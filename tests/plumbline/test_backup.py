"""Backup and restore: every row and object comes back elsewhere, and nothing is written over or left half-written."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from backend.accounts.models import User
from backend.checkpoints.models import Checkpoint, Source
from backend.db import get_engine, transaction
from backend.projects import service as projects
from backend.settings import Settings
from plumbline.backup import database, read
from plumbline.backup.make import make
from plumbline.backup.manifest import ArchiveRefused, Manifest
from plumbline.embedded import RESTORING, Embedded
from plumbline.servers import ServerFailed
from plumbline.services import Trouble

ROOT = Path(__file__).parents[2]
WEIGHTS = os.urandom(1 << 20)


def quiet(done: int, total: int) -> None:
    """No bar."""


@pytest.fixture
def held(clean: None, settings: Settings) -> Settings:
    """An instance with people, a dataset, and a checkpoint whose files are in the storage."""
    key = f"checkpoints/{uuid.uuid4()}"
    folder = settings.data / key
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    with transaction() as session:
        project = projects.default(session)
        session.add(
            Checkpoint(
                project_id=project.id, name="a\tb\\", source=Source.folder, path=key, architecture="x", parameters=1
            )
        )
        session.add(User(name="zoë\n", password_hash="x", active=True))
    return settings


def rows(url: str) -> dict[str, list[Any]]:
    """Every row of every table, as text."""
    with database.connect(url) as connection:
        return {
            name: sorted(connection.execute(f'SELECT t::text FROM "{name}" t').fetchall())  # noqa: S608
            for name in database.columns(connection)
        }


def restore(archive: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    ours = ("DATABASE_URL", "REDIS_URL")
    env = {name: value for name, value in os.environ.items() if name not in ours and "PLUMBLINE" not in name}
    command = [sys.executable, "-m", "plumbline", "restore", str(archive), "--data", str(folder)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_all_comes_back_elsewhere(held: Settings, tmp_path: Path) -> None:
    """Rows are equal, files are equal, and a second restore onto the same folder is refused."""
    archive, there = tmp_path / "a.tar", tmp_path / "there"
    manifest = make(held, archive, secrets=False, tell=quiet)
    done = restore(archive, there)

    assert done.returncode == 0, done.stderr
    assert (there / manifest.objects[0] / "model.safetensors").read_bytes() == WEIGHTS
    assert not (there / RESTORING).exists()
    with Embedded(there, fsync=False, valkey=False) as servers:
        assert rows(servers.database_url) == rows(str(held.database_url))
    again = restore(archive, there)
    assert again.returncode == 1
    assert "is not empty" in again.stderr


def test_a_backup_sees_one_moment(held: Settings, tmp_path: Path) -> None:
    """Rows that are written meanwhile are in all tables or in none: every key between tables still holds."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            with get_engine().begin() as connection:
                connection.execute(
                    text(
                        "WITH u AS (INSERT INTO users (name, password_hash, active, admin)"
                        " VALUES (gen_random_uuid()::text, 'x', true, false) RETURNING id)"
                        " INSERT INTO api_tokens (user_id, name, prefix, token_hash)"
                        " SELECT id, 'n', 'p', uuid_send(id) FROM u"
                    )
                )

    writer = threading.Thread(target=write)
    writer.start()
    try:
        manifest = make(held, tmp_path / "a.tar", secrets=False, tell=quiet)
    finally:
        stop.set()
        writer.join()
    with tarfile.open(tmp_path / "a.tar") as archive:
        tables = {name: _column(archive, name, manifest) for name in ("users", "api_tokens")}
    assert tables["api_tokens"] <= tables["users"]


def _column(archive: tarfile.TarFile, name: str, manifest: Manifest) -> set[bytes]:
    file = archive.extractfile(f"database/{name}.copy.gz")
    assert file is not None
    at = manifest.tables[name].columns.index("id" if name == "users" else "user_id")
    return {line.split(b"\t")[at] for line in gzip.decompress(file.read()).splitlines()}


def test_a_checkpoint_that_is_gone_is_named(held: Settings, tmp_path: Path) -> None:
    """A row without files is kept, and the archive says that its object was missing."""
    with transaction() as session:
        session.execute(text("UPDATE checkpoints SET path = 'checkpoints/gone'"))
    assert make(held, tmp_path / "a.tar", secrets=False, tell=quiet).missing == ["checkpoints/gone"]


def test_a_name_that_is_taken_is_refused(held: Settings, tmp_path: Path) -> None:
    """A backup never writes over a file."""
    (tmp_path / "a.tar").write_text("mine")
    with pytest.raises(Trouble, match="exists already"):
        make(held, tmp_path / "a.tar", secrets=False, tell=quiet)
    assert (tmp_path / "a.tar").read_text() == "mine"


def hostile(path: Path, header: tarfile.TarInfo, content: bytes = b"") -> Path:
    with tarfile.open(path, "w") as archive:
        header.size = len(content)
        archive.addfile(header, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/x", "objects/../x", "objects/runs/../../x", "objects/elsewhere/x", "objects/runs//x", "database/x"],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    """Nothing is read from an archive with a name that no backup has."""
    with pytest.raises(ArchiveRefused, match="a name that no backup has"):
        read.unpack(hostile(tmp_path / "a.tar", tarfile.TarInfo(name), b"x"), tmp_path, quiet)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    """Links and devices are never made."""
    header = tarfile.TarInfo("objects/runs/x")
    header.type, header.linkname = kind, "/etc/passwd"
    with pytest.raises(ArchiveRefused, match="no plain file"):
        read.unpack(hostile(tmp_path / "a.tar", header), tmp_path, quiet)


def test_a_damaged_or_cut_archive_is_refused(held: Settings, tmp_path: Path) -> None:
    """One flipped bit, or an end that is missing, is told."""
    archive = tmp_path / "a.tar"
    make(held, archive, secrets=False, tell=quiet)
    whole = archive.read_bytes()
    at = whole.index(WEIGHTS[:64])
    archive.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(ArchiveRefused, match="damaged"):
        read.unpack(archive, None, quiet)
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArchiveRefused, match="cut off"):
        read.unpack(archive, None, quiet)
    assert hashlib.sha256(whole).digest() != hashlib.sha256(archive.read_bytes()).digest()


def test_a_newer_schema_is_refused_and_nothing_is_left(held: Settings, tmp_path: Path) -> None:
    """The refusal names the version to use; the folder is as it was."""
    archive, changed, there = tmp_path / "a.tar", tmp_path / "b.tar", tmp_path / "there"
    make(held, archive, secrets=False, tell=quiet)
    with tarfile.open(archive) as old, tarfile.open(changed, "w") as new:
        for member in old.getmembers():
            file = old.extractfile(member)
            assert file is not None
            content = file.read()
            if member.name == "manifest.json":
                content = json.dumps({**json.loads(content), "revision": "9999"}).encode()
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    done = restore(changed, there)
    assert done.returncode == 1
    assert "schema 9999" in done.stderr
    assert {path.name for path in there.iterdir()} <= {"lock", "logs"}


def test_a_restore_that_was_cut_off_is_not_run_on(held: Settings, tmp_path: Path) -> None:
    """The program refuses a half-restored folder; restoring again clears it and succeeds."""
    archive, there = tmp_path / "a.tar", tmp_path / "there"
    make(held, archive, secrets=False, tell=quiet)
    (there / RESTORING / "postgres").mkdir(parents=True)
    (there / "checkpoints" / "half").mkdir(parents=True)
    with pytest.raises(ServerFailed, match="cut off"):
        Embedded(there, valkey=False).start()
    assert restore(archive, there).returncode == 0
    assert not (there / "checkpoints" / "half").exists()
