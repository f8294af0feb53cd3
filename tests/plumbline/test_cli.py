"""The command line: quick help, plain troubles, and the whole program started, killed and stopped."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import psutil
import pytest
from typer.testing import CliRunner, Result

from backend.settings import get_settings
from plumbline.cli import app
from plumbline.embedded import Embedded, holder
from plumbline.processes import living_in

PATIENCE = 240  # seconds for three processes to start again beside other tests; each needs ten of a processor
ROOT = Path(__file__).parents[2]
OURS = ("DATABASE_URL", "REDIS_URL")


def environment(folder: Path, **more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if name not in OURS and "PLUMBLINE" not in name}
    return {**clean, "PLUMBLINE_DATA": str(folder), "PLUMBLINE_SEED_TOUR": "false", **more}


def plumbline(*arguments: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "plumbline", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Calls a command in this process with exactly these variables."""

    def invoke(*arguments: str, env: dict[str, str]) -> Result:
        for name in {*os.environ, *OURS}:
            if name in OURS or name.startswith("PLUMBLINE"):
                monkeypatch.delenv(name, raising=False)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        return CliRunner().invoke(app, arguments)

    yield invoke
    monkeypatch.undo()
    get_settings.cache_clear()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_help_needs_nothing_heavy(tmp_path: Path) -> None:
    """`--help` answers without loading torch, Gradio, a database driver or the settings."""
    code = (
        "import sys; from typer.testing import CliRunner; from plumbline.cli import app;"
        "done = CliRunner().invoke(app, ['--help']); assert done.exit_code == 0, done.output;"
        "print([name for name in ('torch', 'gradio', 'sqlalchemy', 'celery', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path, call: Callable[..., Result]) -> None:
    """The message names the port, who has it and the way out; no database was made."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = call("up", env=environment(tmp_path / "data", PLUMBLINE_PORT=str(port)))
    assert done.exit_code == 1
    assert f"Port {port} on 127.0.0.1 is taken" in done.stderr
    assert str(os.getpid()) in done.stderr
    assert f"PLUMBLINE_PORT={port + 1}" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_busy_folder_is_named_before_its_port(tmp_path: Path, call: Callable[..., Result]) -> None:
    """Starting twice says that the program already runs, and where, rather than that its port is taken."""
    with Embedded(tmp_path / "data", fsync=False, postgres=False, valkey=False) as first:
        first.lock.tell(address="http://localhost:7860")
        done = call("up", env=environment(tmp_path / "data"))
    assert done.exit_code == 1
    assert "already runs" in done.stderr
    assert "http://localhost:7860" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"PLUMBLINE_PORT": "70000"}, "PLUMBLINE_PORT is wrong: Must be at most 65535."),
        ({"PLUMBLINE_HOST": "203.0.113.7"}, "no address 203.0.113.7"),
        ({"DATABASE_URL": "postgresql://me:hidden@127.0.0.1:1/x"}, "that DATABASE_URL names"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, "REDIS_URL"),
        ({"DATABASE_URL": "nonsense"}, "DATABASE_URL"),
        ({"REDIS_URL": "nonsense"}, "REDIS_URL"),
        ({"PLUMBLINE_DATA": "/dev/null/data"}, "/dev/null"),
    ],
)
def test_wrong_settings_are_plain_sentences(
    tmp_path: Path, call: Callable[..., Result], variables: dict[str, str], says: str
) -> None:
    """A setting that cannot work is named in a sentence, without a trace and without a password."""
    done = call("up", env=environment(tmp_path / "data", PLUMBLINE_PORT=str(free_port())) | variables)
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "hidden" not in done.stderr


@pytest.mark.parametrize("part", [["web"], ["worker", "light"], ["worker", "train"], ["health"]])
def test_a_part_alone_asks_for_its_servers(tmp_path: Path, call: Callable[..., Result], part: list[str]) -> None:
    """A part started without `up` says which variables it needs."""
    done = call(*part, env=environment(tmp_path))
    assert done.exit_code == 1
    assert "DATABASE_URL and REDIS_URL must name" in done.stderr


class Program:
    """A running `plumbline up`."""

    def __init__(self, folder: Path, **more: str) -> None:
        self.folder, self.port = folder, free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "plumbline", "up"],
            cwd=ROOT,
            env=environment(folder, PLUMBLINE_PORT=str(self.port), **more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.until(lambda: any("Plumbline is at" in line for line in self.lines), 120)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            self.lines.extend(output)

    def until(self, reached: Callable[[], bool], seconds: float) -> None:
        limit = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < limit, "".join(self.lines)
            time.sleep(0.05)

    def get(self, path: str) -> int:
        try:
            return httpx2.get(f"http://localhost:{self.port}{path}", timeout=10).status_code
        except httpx2.TransportError:
            return 0

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def part(self, *words: str) -> psutil.Process:
        """The direct child with this command line."""
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                if child.cmdline()[-len(words) :] == list(words):
                    return child
        raise LookupError(words)

    def has(self, *words: str) -> bool:
        with contextlib.suppress(LookupError):
            return self.part(*words).is_running()
        return False

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()


def shown_password(text: str) -> str | None:
    """The password in the frame of the first start, None where the text has no such frame."""
    found = re.search(r"Sign in as.*?password\s+(\S+)", text, re.DOTALL)
    return found and found[1]


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    running = Program(tmp_path / "data")
    yield running
    running.end()


def alive(family: list[psutil.Process]) -> list[psutil.Process]:
    found = []
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@pytest.mark.slow
def test_the_program_from_first_start_to_ordered_stop(program: Program) -> None:
    """It shows the admin's password once, answers, revives what is killed, and Ctrl-C leaves nothing running."""
    text = "".join(program.lines)
    password = shown_password(text)
    assert password is not None
    assert program.get("/health/live") == 200
    assert program.get("/sign-in") == 200
    origin = f"http://localhost:{program.port}"
    who = {"name": "admin", "password": password}
    assert httpx2.post(f"{origin}/api/v1/session", json=who, headers={"Origin": origin}).status_code == 200

    light = ("worker", "light", "--beat")
    program.until(lambda: program.has(*light) and len(program.part(*light).children()) == 4, PATIENCE)
    beat_and_pool = program.part(*light).children()
    victims = [program.part("web"), program.part(*light), program.part("worker", "train")]
    servers = [
        *living_in(program.folder / "postgres", "postgres"),
        *living_in(program.folder / "valkey", "valkey-server"),
    ]
    victims += [server for server in servers if server.ppid() == program.process.pid]
    assert len(victims) == 5
    for victim in victims:
        victim.kill()
    program.until(lambda: not alive([*victims, *beat_and_pool]), 60)
    program.until(lambda: program.has("web") and program.has(*light) and program.has("worker", "train"), PATIENCE)
    program.until(lambda: program.get("/health/live") == 200, PATIENCE)
    assert sum("died and will be started again" in line for line in program.lines) == 3

    settings = environment(program.folder, PLUMBLINE_OFFLINE="1")  # its port is what the program tells of itself
    program.until(lambda: plumbline("check", env=settings).returncode == 0, PATIENCE)
    found = json.loads(plumbline("check", "--json", env=settings).stdout)["findings"]
    said = {one["check"]: one["found"] for one in found}
    assert "every queue is served (generate, light, train), and one carries the beat" in said["workers"]
    assert "what it needs answers too" in said["web server"]

    family = program.family()
    program.process.send_signal(signal.SIGINT)
    assert program.process.wait(180) == 0
    assert alive(family) == []
    assert holder(program.folder) is None
    program.until(lambda: any("Stopped." in line for line in program.lines), 10)


@pytest.mark.slow
def test_a_killed_program_leaves_nothing_and_starts_again(program: Program) -> None:
    """kill -9 of the program ends servers, web and workers; the next start shows no password, but a way to another."""
    family = program.family()
    program.process.kill()
    program.process.wait()
    program.until(lambda: not alive(family), 40)
    again = Program(program.folder)
    try:
        said = "".join(again.lines)
        assert shown_password(said) is None
        assert shown_password("".join(program.lines)) not in (None, *said.split())
        assert "lost a password gets another by `plumbline reset-password NAME`" in said
        assert again.get("/health/live") == 200
        done = plumbline("reset-password", "Admin", env=environment(program.folder))
        assert re.fullmatch(r"The new password of admin is \S{16}\n", done.stdout), done.stderr
        again.process.terminate()
        assert again.process.wait(180) == 0
    finally:
        again.end()


@pytest.mark.usefixtures("warm")
def test_a_lost_password_without_a_running_program(tmp_path: Path) -> None:
    """The database is started for the moment; a wrong name is told with the names there are."""
    env = environment(tmp_path / "data", PLUMBLINE_ADMIN_PASSWORD="first password of all")
    first = plumbline("migrate", env=env)
    assert first.returncode == 0, first.stderr
    assert "first password" not in first.stdout + first.stderr
    wrong = plumbline("reset-password", "nobody", env=env)
    assert wrong.returncode == 1
    assert "There are: admin." in wrong.stderr
    right = plumbline("reset-password", "admin", env=env)
    assert right.returncode == 0, right.stderr
    assert holder(tmp_path / "data") is None
