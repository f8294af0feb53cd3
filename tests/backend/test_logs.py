"""Logs: JSON in the file, short lines for people, and no error that ends a process unseen."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from backend.logs import LOG_BYTES, configure, turn_over
from backend.settings import Settings

ROOT = Path(__file__).parents[2]


def test_the_file_has_everything_and_the_terminal_little(
    quiet: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every line of the file is a JSON object with time and level; the terminal shows warnings, in short."""
    path = configure("web", Settings(data=tmp_path, log_format="text"))
    structlog.get_logger().info("run claimed", run="r1")
    logging.getLogger("elsewhere").warning("disk nearly full: %s", "5 %")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["level"], line["event"]) for line in lines] == [
        ("info", "run claimed"),
        ("warning", "disk nearly full: 5 %"),
    ]
    assert lines[0]["run"] == "r1"
    assert all("timestamp" in line for line in lines)
    shown = capsys.readouterr().err
    assert "run claimed" not in shown
    assert "web: warning: disk nearly full: 5 %" in shown


def test_an_error_that_ends_a_process_is_in_its_log(tmp_path: Path) -> None:
    """The trace goes to the file, the terminal gets one line, and the exit status tells."""
    code = (
        "import sys; from backend.settings import Settings; from backend.logs import configure;"
        "configure('web', Settings(data=sys.argv[1], log_format='text')); raise RuntimeError('broken')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "ended by RuntimeError" in done.stderr
    assert "broken" in (tmp_path / "logs" / "web.log").read_text()


def test_a_big_log_is_turned_over_once(tmp_path: Path) -> None:
    """A log does not grow for ever: it starts anew beyond its size, and one older file is kept."""
    path = tmp_path / "web.log"
    for content in (b"old", b"new"):
        path.write_bytes(content * LOG_BYTES)
        turn_over(path)
    assert not path.exists()
    assert (tmp_path / "web.log.1").read_bytes().startswith(b"new")
    path.write_bytes(b"small")
    turn_over(path)
    assert path.read_bytes() == b"small"


def test_where_no_person_looks_on_standard_error_is_json(
    quiet: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal, or when the setting says so, each line is an object that names its process, and from the
    level that was set on."""
    configure("worker-train", Settings(data=tmp_path, log_level="info"))
    structlog.contextvars.bind_contextvars(request_id="r-1")
    structlog.get_logger().info("run starts", key="hf_" + "x" * 20)
    structlog.contextvars.clear_contextvars()
    [line] = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    assert (line["process"], line["event"], line["request_id"]) == ("worker-train", "run starts", "r-1")
    assert line["key"] == "[hidden]"


def test_a_log_that_the_system_turns_over_goes_on_under_its_name(quiet: None, tmp_path: Path) -> None:
    """A program such as logrotate may move the file away; the next line begins a new one."""
    path = configure("web", Settings(data=tmp_path))
    structlog.get_logger().info("first")
    path.rename(path.with_suffix(".old"))
    structlog.get_logger().info("second")
    assert "second" in path.read_text()
    assert "first" not in path.read_text()
