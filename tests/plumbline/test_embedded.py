"""Embedded servers: private, one owner at a time, nothing orphaned, nothing lost."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from plumbline.accounts import may_enter, may_pass
from plumbline.embedded import SOCKET_PATH_BYTES, AlreadyRunning, Embedded, FolderLock, holder, socket_folder
from plumbline.processes import Account, living_in
from plumbline.servers import ServerFailed

ROOT = os.geteuid() == 0
HOLDER = """
import signal, sys
from pathlib import Path
from plumbline.embedded import Embedded
servers = Embedded(Path(sys.argv[1]), fsync=False)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with servers:
    print("ready", flush=True)
    signal.pause()
"""


def write(servers: Embedded, value: str) -> None:
    with psycopg.connect(servers.database_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
        connection.execute("INSERT INTO kept VALUES (%s)", [value])
    with redis.Redis.from_url(servers.redis_url) as client:
        client.rpush("kept", value)


def read(servers: Embedded) -> tuple[list[str], list[str]]:
    with psycopg.connect(servers.database_url.replace("+psycopg", "")) as connection:
        rows = [str(row[0]) for row in connection.execute("SELECT value FROM kept ORDER BY value")]
    with redis.Redis.from_url(servers.redis_url, decode_responses=True) as client:
        return rows, sorted(client.lrange("kept", 0, -1))


def left_in(folder: Path) -> list[psutil.Process]:
    return [*living_in(folder / "postgres", "postgres"), *living_in(folder / "valkey", "valkey-server")]


def gone(folder: Path, seconds: float = 10.0) -> bool:
    limit = time.monotonic() + seconds
    while left_in(folder):
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


@contextlib.contextmanager
def holding(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another program that holds `folder`."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "ready\n"
            yield program
        finally:
            program.kill()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that earlier tests of this module have used."""
    return tmp_path_factory.mktemp("embedded") / "data"


def test_rows_survive_a_stop_and_nothing_is_left_running(data: Path) -> None:
    """A clean stop ends every process, frees the folder and loses nothing."""
    with Embedded(data, fsync=False) as servers:
        write(servers, "a")
        sockets = Path(servers.redis_url.removeprefix("unix://")).parent
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert left_in(data)
        assert holder(data) is not None
    assert left_in(data) == []
    assert holder(data) is None
    assert not sockets.exists()
    with Embedded(data, fsync=False) as servers:
        assert read(servers) == (["a"], ["a"])


def test_killed_servers_are_revived_with_their_rows(data: Path) -> None:
    """kill -9 of both servers, one at a time and together, loses no committed row."""
    with Embedded(data, fsync=False) as servers:
        before = read(servers)
        write(servers, "b")
        expected = sorted([*before[0], "b"])
        for victims in (servers.servers[:1], servers.servers[1:], servers.servers):
            for victim in victims:
                assert victim.child is not None
                os.kill(victim.child.pid, signal.SIGKILL)
                victim.child.wait()
            assert servers.revive() == [victim.title for victim in victims]
            assert read(servers) == (expected, expected)
        assert servers.revive() == []
    assert left_in(data) == []


def test_servers_end_when_their_program_is_killed(data: Path) -> None:
    """kill -9 of the parent ends the servers cleanly, and the next start finds every row."""
    with holding(data) as program:
        program.kill()
        program.wait()
        if sys.platform == "linux":
            assert gone(data)
            with Embedded(data, fsync=False) as servers:
                assert read(servers)[0]
            assert (
                "was interrupted" not in (data / "logs" / "postgres.log").read_text().rsplit("starting Postgre", 1)[1]
            )


def test_everything_killed_at_once(data: Path) -> None:
    """kill -9 of the parent and both servers leaves stale files behind; the next start is not misled by them."""
    with holding(data) as program:
        victims = left_in(data)
        for victim in (psutil.Process(program.pid), *victims):
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        program.wait()
    stale = data / "postgres" / "postmaster.pid"
    assert stale.exists()
    # The worst case: the recorded process number now belongs to something else that lives.
    lines = stale.read_text().splitlines()
    stale.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    with Embedded(data, fsync=False) as servers:
        assert read(servers)[0]


def test_orphans_are_ended_before_a_start(data: Path) -> None:
    """A server that outlived its program is found by its folder, not by its number, and stopped."""
    with holding(data) as program:
        for process in left_in(data):
            if process.name() == "postgres" and process.ppid() == program.pid:
                process.suspend()  # it cannot react to the death of its parent
        program.kill()
        program.wait()
        for process in left_in(data):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        with Embedded(data, fsync=False) as servers:
            assert read(servers)[0]
            assert len([p for p in left_in(data) if p.ppid() == os.getpid()]) == 2
    assert left_in(data) == []


def test_a_second_start_says_who_holds_the_folder(data: Path) -> None:
    """Two programs never share a data folder, and the message names the first and the way out."""
    with Embedded(data, fsync=False) as servers:
        servers.lock.tell(address="http://127.0.0.1:7860")
        with pytest.raises(AlreadyRunning, match=rf"process {os.getpid()} at http://127.0.0.1:7860.*PLUMBLINE_DATA"):
            Embedded(data).start()
        found = holder(data)
        assert found is not None
        assert found["database_url"] == servers.database_url
        assert read(servers)[0]  # the first is unharmed


def test_a_glance_at_the_folder_keeps_nobody_from_starting(tmp_path: Path) -> None:
    """Whoever looks who holds a folder locks it for a moment; a program that starts just then waits that moment."""
    with (tmp_path / "lock").open("a+") as glance:
        fcntl.flock(glance, fcntl.LOCK_SH)
        timer = threading.Timer(0.05, fcntl.flock, (glance, fcntl.LOCK_UN))
        timer.start()
        lock = FolderLock(tmp_path)
        lock.take()
        timer.join()
    try:
        assert holder(tmp_path) is not None
    finally:
        lock.drop()


def test_terminated_program_stops_its_servers(data: Path) -> None:
    """SIGTERM of the program runs the ordered stop."""
    with holding(data) as program:
        program.terminate()
        assert program.wait(20) == 0
        assert left_in(data) == []


def test_unreadable_valkey_files_are_set_aside(data: Path) -> None:
    """Damaged files of the doorbell do not keep the program from starting, and are kept for whoever wants to look."""
    with Embedded(data, fsync=False):
        pass
    manifest = data / "valkey" / "appendonlydir" / "appendonly.aof.manifest"
    manifest.write_text("nonsense\n")
    with Embedded(data, fsync=False) as servers, redis.Redis.from_url(servers.redis_url) as client:
        assert client.ping()
    assert len(list(data.glob("valkey.unreadable-*"))) == 1


def test_foreign_database_folder_is_refused(tmp_path: Path) -> None:
    """A folder of another Postgres version, or of no Postgres at all, is left alone and named."""
    folder = tmp_path / "postgres"
    folder.mkdir(parents=True)
    with pytest.raises(ServerFailed, match="holds no database"):
        Embedded(tmp_path).start()
    (folder / "PG_VERSION").write_text("12\n")
    with pytest.raises(ServerFailed, match=r"Postgres 12.*needs one of Postgres 18"):
        Embedded(tmp_path).start()
    assert holder(tmp_path) is None
    assert left_in(tmp_path) == []


def test_long_path_and_hostile_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data path too long for a socket works, and so do `PG*` variables that point elsewhere."""
    monkeypatch.setenv("PGPORT", "9999")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGHOST", "example.invalid")
    folder = tmp_path / ("long folder name " * 6) / "Ünïcode %41 & more"
    with Embedded(folder, fsync=False) as servers:
        write(servers, "x")
        assert read(servers) == (["x"], ["x"])
        path = Path(servers.redis_url.removeprefix("unix://"))
        assert len(os.fsencode(path.parent / ".s.PGSQL.5432.lock")) < SOCKET_PATH_BYTES
    assert not path.parent.exists()


def test_socket_folder_is_never_somebody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary folder that another user prepared under the expected name is not used."""
    short = Path(tempfile.mkdtemp(dir="/tmp"))
    short.chmod(0o711)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(short))
    folder = tmp_path / ("x" * 90)
    folder.mkdir()
    try:
        first = socket_folder(folder)
        assert first.parent == short
        first.chmod(0o777)
        second = socket_folder(folder)
        assert second != first
        assert second.stat().st_mode & 0o777 == 0o700
    finally:
        shutil.rmtree(short)


@pytest.mark.skipif(not ROOT, reason="only root changes users")
def test_as_root_servers_run_as_an_ordinary_user(data: Path) -> None:
    """Neither server has root's rights, in a folder only root may enter, and its user owns only its own folders."""
    account = Account(data.joinpath("postgres").stat().st_uid, data.joinpath("postgres").stat().st_gid)
    assert account.uid != 0
    assert not may_enter(data / "postgres", account)  # the folders above are root's own
    with Embedded(data, fsync=False):
        assert {process.uids().effective for process in left_in(data)} == {account.uid}
    assert {path.name for path in data.iterdir() if path.stat().st_uid == account.uid} <= {
        *("postgres", "valkey", "run"),
        *(path.name for path in data.glob("valkey.unreadable-*")),
    }


@pytest.mark.skipif(not ROOT, reason="only root changes users")
def test_as_root_with_open_folders_sockets_lie_in_the_data_folder() -> None:
    """Where the servers' user may pass, everything is inside the data folder."""
    above = Path(tempfile.mkdtemp(dir="/tmp"))
    above.chmod(0o755)
    try:
        with Embedded(above / "data", fsync=False) as servers:
            assert servers.redis_url == f"unix://{above}/data/run/valkey.sock"
            assert may_pass(above / "data", servers.servers[0].account)
            write(servers, "y")
            assert (above / "data").stat().st_mode & 0o7 == 0  # and others are kept out
    finally:
        shutil.rmtree(above)


def test_lock_file_is_json(data: Path) -> None:
    """Whatever the lock file holds, a reader gets facts or nothing."""
    with Embedded(data, fsync=False):
        assert json.loads((data / "lock").read_text())["pid"] == os.getpid()
        (data / "lock").write_text("{broken")
        assert holder(data) == {}
