"""The code of docs/api.md does what the page says, against a real server and real workers."""

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from backend.accounts import service as accounts
from backend.accounts.models import Role
from backend.app import create_app
from backend.db import transaction
from backend.projects import service as projects
from backend.settings import get_settings
from plumbline import Client, seed
from tests.people import add_person

PAGE = Path(__file__).parents[1] / "docs" / "api.md"


def blocks(language: str) -> list[str]:
    """The code of the page, in its order."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@contextmanager
def serving() -> Iterator[str]:
    """The address of a web server of this test alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(create_app(get_settings()), "127.0.0.1", port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


@contextmanager
def working() -> Iterator[None]:
    """Workers for everything that the page asks for."""
    from workers.tasks import arena, evaluate, export, imports, suggest, train

    over = threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            while not over.wait(0.2):
                for task in (imports, train, evaluate, arena, suggest, export):
                    task.work()
        except BaseException as error:
            failed.append(error)
            raise

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(120)
    assert failed == []


@pytest.mark.slow
def test_the_walk_works(clean: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both walks end, by curl and in Python, and leave what they say."""
    with transaction() as session:
        user = add_person(session, Role.owner, "ada")
        seed.tour(session, projects.default(session))
        token = accounts.add_token(session, user, "walk")[1]
    with serving() as address, working():
        monkeypatch.setenv("PLUMBLINE_URL", address)
        monkeypatch.setenv("PLUMBLINE_TOKEN", token)
        monkeypatch.chdir(tmp_path)
        shell = "set -euo pipefail\n" + "\n".join(blocks("bash")[1:])  # the first names the server
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        assert '"hash":' in done.stdout
        names: dict[str, Any] = {"os": os}
        for code in blocks("python"):
            exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102  (our own page)
        with Client(address, token) as client:
            made = {dataset.name for dataset in client.datasets.list()}
        assert {"Help desk", "Small sums", "Verdicts"} <= made
        assert (tmp_path / "sums.jsonl").read_text().count("\n") == 40
        assert (tmp_path / "first.tar").stat().st_size == names["export"].archive_bytes
