"""`plumbline tour`: the whole loop over HTTP, in one command."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backend.settings import Settings
from plumbline import tour
from plumbline.cli import app
from plumbline.embedded import Embedded

ROOT = Path(__file__).parents[2]


COMMAND = [sys.executable, "-m", "plumbline", "tour", "--pairs", "80", "--label", "5", "--prompts", "20"]
ALONE = ["unshare", "--net"]
# A machine of its own that has no other network than itself; whatever any process sends elsewhere, the kernel counts.
NOWHERE = """
/sbin/ip link set lo up && "$@"
code=$?
{ grep ^Ip: /proc/net/snmp; cat /proc/net/snmp6; } > "$TMPDIR/counts"
exit $code
"""


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The tour of a machine that is offline: the folder with what was watched, and what it printed."""
    folder = tmp_path_factory.mktemp("tour")
    shutil.copy(ROOT / "tests" / "no_network" / "sitecustomize.py", folder)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PLUMBLINE", "HF_"))}
    environment = clean | {"TMPDIR": str(folder), "COLUMNS": "160", "PYTHONPATH": str(folder), "PLUMBLINE_OFFLINE": "1"}
    apart = [*ALONE, "sh", "-c", NOWHERE, "sh"] if may_be_alone() else []
    done = subprocess.run([*apart, *COMMAND], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def may_be_alone() -> bool:
    """Whether this machine lets us make a network of our own, with nothing but the machine in it."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not Path("/sbin/ip").exists():
        return False
    tried = subprocess.run([*ALONE, "/sbin/ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    return tried.returncode == 0


@pytest.mark.slow
def test_the_loop_is_walked_and_nothing_of_it_is_left(walked: tuple[Path, str]) -> None:
    """Import, label, train, evaluate, report and votes back to data, through the API; then nothing of it is left."""
    folder, printed = walked
    for stage in ("Import", "Label", "Train", "Evaluate", "Report", "Votes to data"):
        assert stage in printed
    assert "80 of 80 pairs" in printed
    assert "interval" in printed
    assert "n = 20 held-out prompts" in printed
    assert "of what could be gained" in printed
    assert list(folder.glob("plumbline-*")) == []


@pytest.mark.slow
def test_offline_nobody_outside_is_asked(walked: tuple[Path, str]) -> None:
    """Offline, no process of the program tries to connect, to send or to ask for a name beyond this machine: not one
    attempt, also none that somebody swallows. Every process was watched."""
    folder, _ = walked
    watched = (folder / "processes").read_text()
    for part in (
        "plumbline tour",
        "plumbline web",
        "worker light",
        "worker train",
        "alignment.training",
        "formats.apart",
    ):
        assert part in watched
    assert not (folder / "attempts").exists(), (folder / "attempts").read_text()


@pytest.mark.slow
def test_offline_the_network_may_be_taken_away(walked: tuple[Path, str]) -> None:
    """The whole loop was walked where there is no network, and the kernel saw nothing sent elsewhere, also not by code
    that Python does not see. Where no such place can be made the test before stands alone."""
    counts = walked[0] / "counts"
    if not counts.exists():
        pytest.skip("This machine lets nobody make a network of their own.")
    names, values, *sixth = counts.read_text().splitlines()
    told = dict(zip(names.split(), values.split(), strict=True)) | dict(line.split() for line in sixth)
    assert (told["OutNoRoutes"], told["Ip6OutNoRoutes"]) == ("0", "0")


def test_who_leaves_is_seen(tmp_path: Path) -> None:
    """The watch over processes writes down, and keeps back, each way out of this machine; ways within it stay open."""
    shutil.copy(ROOT / "tests" / "no_network" / "sitecustomize.py", tmp_path)
    leaves = """
import contextlib, socket
with socket.socket() as here, socket.create_server(("localhost", 0)) as there:
    here.connect(there.getsockname())
for how in (
    lambda: socket.socket().connect(("192.0.2.1", 80)),
    lambda: socket.getaddrinfo("example.org", 80),
    lambda: socket.gethostbyname("example.org"),
    lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53)),
    lambda: socket.socket(socket.AF_INET6).connect_ex(("2001:db8::1", 80)),
):
    with contextlib.suppress(OSError):
        how()
"""
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", leaves], env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=True
    )
    attempts = (tmp_path / "attempts").read_text()
    assert [line.split()[0] for line in attempts.splitlines() if line.startswith("socket.")] == [
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "socket.sendto",
        "socket.connect",
    ]


def test_the_environment_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What configured another program is hidden from the private one, and there again afterwards, also on an error."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/db")
    before = dict(os.environ)
    seen: list[Settings] = []

    def refuse(settings: Settings) -> None:
        seen.append(settings)
        raise OSError("no port")

    monkeypatch.setattr(tour, "Stack", refuse)
    with pytest.raises(OSError, match="no port"), tour.private_program():
        pass

    assert seen[0].database_url is None
    assert dict(os.environ) == before


def test_a_running_server_needs_a_token() -> None:
    """The tour never tries a running server without being allowed to."""
    done = CliRunner().invoke(app, ["tour", "--url", "http://localhost:1"])
    assert done.exit_code == 1
    assert "token" in done.stderr


def test_a_server_that_is_not_there_is_named() -> None:
    """No trace, but the address that does not answer."""
    done = CliRunner().invoke(app, ["tour", "--url", "http://localhost:1", "--token", "plb_x"])
    assert done.exit_code == 1
    assert "http://localhost:1" in done.stderr
    assert "does not answer" in done.stderr


def test_health_of_servers_that_answer(servers: Embedded) -> None:
    """A container's check passes when database and doorbell answer, and fails with a sentence when ours does not."""
    env = {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url, "PLUMBLINE_PORT": "1"}
    command = [sys.executable, "-m", "plumbline", "health"]
    well = subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    assert (well.returncode, well.stdout, well.stderr) == (0, "", "")
    unwell = subprocess.run(
        [*command, "--web"], cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert unwell.returncode == 1
    assert unwell.stderr.startswith("The web server does not answer on port 1")
