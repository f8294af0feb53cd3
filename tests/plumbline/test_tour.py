"""`plumbline tour`: the whole loop over HTTP, in one command."""

import os
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


@pytest.mark.slow
def test_the_loop_is_walked_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    """Import, label, train, evaluate, report and votes back to data, through the API; then nothing of it is left."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PLUMBLINE")}
    done = subprocess.run(
        [sys.executable, "-m", "plumbline", "tour", "--pairs", "80", "--label", "5", "--prompts", "20"],
        cwd=ROOT,
        env={**clean, "TMPDIR": str(tmp_path), "COLUMNS": "160"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for stage in ("Import", "Label", "Train", "Evaluate", "Report", "Votes to data"):
        assert stage in done.stdout
    assert "80 of 80 pairs" in done.stdout
    assert "interval" in done.stdout
    assert "n = 20 held-out prompts" in done.stdout
    assert "of what could be gained" in done.stdout
    assert list(tmp_path.glob("plumbline-*")) == []


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
    assert unwell.stderr == "The web server does not answer on port 1.\n"
