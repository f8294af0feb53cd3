"""Set-up: what a newcomer is told when something is missing, and that it costs nothing once all is there."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NEEDED = ("bash", "env", "dirname", "cat", "cksum", "id", "rm", "timeout", "awk", "make", "sh")


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment with the plainest tools only: no Python, no browser, no package manager, an empty home."""
    tools, home = tmp_path / "bin", tmp_path / "home"
    tools.mkdir()
    home.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    return {"PATH": str(tools), "HOME": str(home)}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that set-up reads, without an environment."""
    place = tmp_path / "clone"
    (place / "scripts").mkdir(parents=True)
    for name in ("Makefile", "requirements.txt", "pyproject.toml", "scripts/setup.sh"):
        shutil.copy2(ROOT / name, place / name)
    return place


def test_a_missing_python_is_told_with_the_remedy(clone: Path, bare: dict[str, str]) -> None:
    """Without a fitting Python there is one clear message and nothing half made."""
    done = subprocess.run(["make", "setup"], cwd=clone, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "no Python 3.11 to 3.14 was found" in done.stderr
    assert "PYTHON_FOR_SETUP=" in done.stderr
    assert not (clone / ".venv").exists()


def test_a_python_that_is_too_old_is_passed_over(clone: Path, bare: dict[str, str], tmp_path: Path) -> None:
    """A `python3` that the packages do not exist for counts as none."""
    old = tmp_path / "bin" / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")  # what its version check would say
    old.chmod(0o755)
    done = subprocess.run(["make", "setup"], cwd=clone, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "no Python 3.11 to 3.14 was found" in done.stderr


def test_help_lists_every_target() -> None:
    """`make` alone says what there is."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert targets == {"setup", "run", "test", "check", "bench", "help"}
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    shown = subprocess.run(["make"], cwd=ROOT, env=bare, capture_output=True, text=True, check=True).stdout
    assert {line.split()[1] for line in shown.splitlines()} == targets
    for target in targets - {"help", "setup"}:
        assert re.search(rf"^{target}: setup\b", makefile, re.MULTILINE)


def test_a_second_setup_does_nothing(tmp_path: Path) -> None:
    """Once all is there, set-up neither speaks nor touches the environment."""
    stamp = ROOT / ".venv" / "setup-stamp"
    if not stamp.exists():
        pytest.skip("This environment was not made by `make setup`.")
    before = stamp.stat().st_mtime_ns
    done = subprocess.run(
        ["make", "setup"], cwd=ROOT, env={**os.environ, "CI": ""}, capture_output=True, text=True, check=True
    )
    if "installing" in done.stderr:
        pytest.skip("The environment was older than its pins.")
    assert done.stderr == ""
    assert stamp.stat().st_mtime_ns == before


def test_everything_is_pinned() -> None:
    """Each requirement is one exact version, and the project's own pins agree with them; what only a benchmark compares
    us with is pinned, and not installed for everybody."""
    lines = (ROOT / "requirements.txt").read_text().split()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    pins = {name.lower().replace("_", "-"): version for name, version in (line.split("==") for line in lines)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    exact = re.compile(r"([\w-]+)(?:\[[\w,]+\])?==([\w.]+)")
    declared = {
        found[1]: found[2] for one in (*project["dependencies"], *extras["dev"]) if (found := exact.fullmatch(one))
    }
    assert len(declared) > 20
    assert all(exact.fullmatch(one) for one in extras["bench"])
    assert {name: pins[name.lower().replace("_", "-")] for name in declared} == declared


def test_every_folder_of_tests_is_run() -> None:
    """The two processes of `make test` are given each folder that has tests."""
    script = (ROOT / "scripts" / "test.sh").read_text()
    folders = {path.relative_to(ROOT).parts[1] for path in (ROOT / "tests").glob("*/**/test_*.py")}
    assert folders == {name for name in folders if f" tests/{name}" in script}
