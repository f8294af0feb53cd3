"""Backup and restore: every row and object comes back elsewhere; hostile archives and full disks are refused."""

import errno
import gzip
import hashlib
import io
import json
import os
import resource
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
from plumbline.backup import read
from plumbline.backup.make import make
from plumbline.backup.manifest import ArchiveRefused, Manifest
from plumbline.backup.restore import restore
from plumbline.services import Trouble
from tests.backups import instance, quiet

WEIGHTS = os.urandom(1 << 20)


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
                        " INSERT INTO identities (user_id, email) SELECT id, id::text FROM u"
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
        tables = {name: _column(archive, name, manifest) for name in ("users", "identities")}
    assert tables["identities"] <= tables["users"]


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


def rewritten(archive: Path, changed: Path, **facts: Any) -> Path:
    """The archive with another manifest."""
    with tarfile.open(archive) as old, tarfile.open(changed, "w") as new:
        for member in old.getmembers():
            file = old.extractfile(member)
            assert file is not None
            content = file.read()
            if member.name == "manifest.json":
                content = json.dumps({**json.loads(content), **facts}).encode()
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    return changed


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"revision": "9999"}, "schema 9999.*Restore it with version"),
        ({"version": 2}, "has layout 2"),
        ({"objects": ["../../etc"]}, "a place that no backup has"),
        ({"moved": {"/models/a": "checkpoints/../../etc"}}, "a place that no backup has"),
        ({"tables": {}}, "other tables than its manifest says"),
        ({"members": {}}, "other files than its manifest says"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    held: Settings, tmp_path: Path, facts: dict[str, Any], says: str
) -> None:
    """A newer schema is told with the version to use; a manifest that lies is believed in nothing. The folder is as it
    was, and the database was not asked."""
    make(held, tmp_path / "a.tar", secrets=False, tell=quiet)
    changed, there = rewritten(tmp_path / "a.tar", tmp_path / "b.tar", **facts), tmp_path / "there"
    refused = pytest.raises(ArchiveRefused, match=says)
    with instance(there, "postgresql://127.0.0.1:1/never-asked") as elsewhere, refused:
        restore(changed, elsewhere, quiet)
    assert {path.name for path in there.iterdir()} <= {"lock", "logs"}


def test_what_a_killed_backup_left_is_written_over(held: Settings, tmp_path: Path) -> None:
    """Its half-written file and its links to objects do not stay, and are in nobody's way."""
    (tmp_path / ".a.tar.part").write_text("half")
    (held.data / ".backup" / "tmpleft").mkdir(parents=True)
    manifest = make(held, tmp_path / "a.tar", secrets=False, tell=quiet)
    assert read.unpack(tmp_path / "a.tar", None, quiet) == manifest
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar"}
    assert {path.name for path in (held.data / ".backup").iterdir()} == {"lock"}


def test_a_full_disk_leaves_no_archive(held: Settings, tmp_path: Path) -> None:
    """A file that may not grow on is told in a sentence; nothing half-written stays, and the next backup succeeds."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(WEIGHTS) // 2, most))
    try:
        with pytest.raises(Trouble, match=r"The disk is full\. .*a\.tar was not written"):
            make(held, tmp_path / "a.tar", secrets=False, tell=quiet)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert list(tmp_path.iterdir()) == []
    assert {path.name for path in (held.data / ".backup").iterdir()} == {"lock"}
    make(held, tmp_path / "a.tar", secrets=False, tell=quiet)


def test_an_object_that_cannot_be_copied_is_no_missing_one(
    held: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file system has no second names and no room for copies, the backup fails: it does not leave out."""

    def refuse(_source: Path, _target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(WEIGHTS) // 2, most))
    try:
        with pytest.raises(Trouble, match="The disk is full"):
            make(held, tmp_path / "a.tar", secrets=False, tell=quiet)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert list(tmp_path.iterdir()) == []
