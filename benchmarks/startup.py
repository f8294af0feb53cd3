"""How long from `make run` to a page that answers, dependencies installed: the first start and later ones."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2

from benchmarks.figure import Figure

ROOT = Path(__file__).parents[1]
LATER_STARTS = 3
FIRST_SECONDS, LATER_SECONDS = 40.0, 15.0


def measure() -> list[Figure]:
    """A first start in an empty folder, then later ones; the slowest of these counts."""
    with tempfile.TemporaryDirectory() as folder:
        first = start(Path(folder))
        later = [start(Path(folder)) for _ in range(LATER_STARTS)]
    return [
        Figure(
            "first start, with migrations and seeding",
            first,
            "s",
            f"at most {FIRST_SECONDS:.0f} s",
            first <= FIRST_SECONDS,
            "one start, empty data folder",
        ),
        Figure(
            "later start",
            max(later),
            "s",
            f"at most {LATER_SECONDS:.0f} s",
            max(later) <= LATER_SECONDS,
            f"slowest of {LATER_STARTS}",
        ),
    ]


def start(folder: Path) -> float:
    """Seconds from `make run` until the sign-in page is there; the program is stopped again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ours = {"PLUMBLINE_DATA": str(folder / "data"), "PLUMBLINE_PORT": str(port)}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PLUMBLINE", "MAKE"))}
    began = time.monotonic()
    with subprocess.Popen(
        ["make", "run"],  # noqa: S607
        cwd=ROOT,
        env={**inherited, **ours},
        stdout=subprocess.DEVNULL,
        stderr=sys.stderr,
        start_new_session=True,
    ) as program:
        try:
            while not _page(port):
                if program.poll() is not None:
                    raise RuntimeError(f"make run ended with status {program.returncode}")
                time.sleep(0.05)
            return time.monotonic() - began
        finally:
            os.killpg(program.pid, signal.SIGINT)
            program.wait(90)


def _page(port: int) -> bool:
    try:
        return httpx2.get(f"http://localhost:{port}/sign-in", timeout=30).status_code == 200
    except httpx2.TransportError:
        return False
