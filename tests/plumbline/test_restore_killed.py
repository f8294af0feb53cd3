"""A restore that is killed: every start says so, and the next restore begins anew."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backend import storage
from backend.settings import Settings
from plumbline.backup import database
from plumbline.backup.make import make
from plumbline.backup.manifest import HalfRestored
from plumbline.backup.restore import restore
from plumbline.embedded import RESTORING, Embedded
from plumbline.services import Trouble, require_schema
from plumbline.upgrade import upgrade
from tests.backups import ROOT, Objects, environment, free_port, instance, objects, plumbline, quiet, rows

pytestmark = pytest.mark.usefixtures("warm")


def kill_when(command: list[str], env: dict[str, str], half: Callable[[], bool]) -> None:
    """Start a command and kill it, without a chance to clean up, as soon as `half` says so."""
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as program:
        limit = time.monotonic() + 120
        while not half():
            assert program.poll() is None, "It ended before it could be killed."
            assert time.monotonic() < limit
            time.sleep(0.005)
        program.send_signal(signal.SIGKILL)
    assert program.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_killed_while_restoring_into_a_folder(full: Objects, settings: Settings, tmp_path: Path) -> None:
    """A start on the folder says what happened and what to do; restoring again needs no cleaning up and succeeds."""
    archive, there = tmp_path / "a.tar", tmp_path / "there"
    ((old, key),) = make(settings, archive, secrets=False, tell=quiet).moved.items()
    command = [sys.executable, "-m", "plumbline", "restore", str(archive), "--data", str(there)]
    kill_when(command, environment(there), (there / RESTORING / "postgres" / "postmaster.pid").exists)
    assert (there / RESTORING).exists()
    started = plumbline("up", env=environment(there, PLUMBLINE_PORT=free_port()))
    assert started.returncode == 1
    assert "was cut off" in started.stderr
    assert "Run `plumbline restore` with the archive again" in started.stderr
    again = plumbline("restore", str(archive), env=environment(there))
    assert again.returncode == 0, again.stderr
    assert not (there / RESTORING).exists()
    with Embedded(there, fsync=False, valkey=False) as servers:
        before = rows(str(settings.database_url))
        assert rows(servers.database_url) == {
            table: [row.replace(old, key) for row in found] for table, found in before.items()
        }
    assert objects(there, full) == full
    onto = plumbline("restore", str(archive), env=environment(there))
    assert (onto.returncode, "is not empty" in onto.stderr) == (1, True)


def test_killed_while_restoring_into_a_database(
    full: Objects, settings: Settings, tmp_path: Path, empty_database: str
) -> None:
    """The mark is in the database, so that no machine starts on it, migrates it or backs it up; restoring again, even
    from another machine, begins anew."""
    archive = tmp_path / "a.tar"
    make(settings, archive, secrets=False, tell=quiet)
    with database.connect(empty_database) as watcher:
        watcher.autocommit = True
        env = environment(tmp_path / "there", DATABASE_URL=empty_database)
        command = [sys.executable, "-m", "plumbline", "restore", str(archive)]
        kill_when(command, env, lambda: database.marked(watcher) and len(database.columns(watcher)) > 5)
    with instance(tmp_path / "another", empty_database) as another:
        for use in (require_schema, lambda settings: upgrade(settings, print)):
            with pytest.raises(HalfRestored, match="run `plumbline restore` again"):
                use(another)
        with pytest.raises(Trouble, match="not whole"):
            make(another, tmp_path / "b.tar", secrets=False, tell=quiet)
        storage.remove(another.data)
        restore(archive, another, quiet)
        require_schema(another)
    assert {name: len(found) for name, found in rows(empty_database).items()} == {
        name: len(found) for name, found in rows(str(settings.database_url)).items()
    }
