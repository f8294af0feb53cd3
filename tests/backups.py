"""Backups in tests: rows to compare, and another instance on the same machine to restore into."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.settings import Settings, get_settings
from plumbline.backup import database

ROOT = Path(__file__).parents[1]
OURS = ("DATABASE_URL", "REDIS_URL")
TINY = {"config.json": b"{}", "weights/model.safetensors": os.urandom(1 << 18)}
Objects = dict[str, dict[str, bytes]]  # files of objects by key; an object that is a file has one without a name


def quiet(done: int, total: int) -> None:
    """No bar."""


def rows(url: str) -> dict[str, list[str]]:
    """Every row of every table, as JSON."""
    with database.connect(url) as connection:
        return {
            name: [row for (row,) in connection.execute(f'SELECT to_jsonb(t)::text FROM "{name}" t ORDER BY 1')]  # noqa: S608
            for name in database.columns(connection)
        }


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def free_port() -> str:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Variables of an instance of its own."""
    clean = {name: value for name, value in os.environ.items() if name not in OURS and "PLUMBLINE" not in name}
    return {**clean, "PLUMBLINE_DATA": str(folder), "PLUMBLINE_SEED_TOUR": "false", **more}


def plumbline(*arguments: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """A command in a process of its own."""
    command = [sys.executable, "-m", "plumbline", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@contextmanager
def instance(folder: Path, url: str, **more: str) -> Iterator[Settings]:
    """Meanwhile this process is another instance: its folder, its database."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update({**environment(folder), "PATH": before["PATH"], "DATABASE_URL": url, **more})
    get_settings.cache_clear()
    try:
        yield get_settings()
    finally:
        os.environ.clear()
        os.environ.update(before)
        get_settings.cache_clear()


def place(root: Path, content: dict[str, bytes]) -> Path:
    """Afterwards the files lie below the folder."""
    for name, data in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def objects(root: Path, keys: Objects) -> Objects:
    """What lies below a folder for each of the keys."""
    return {key: {"": (root / key).read_bytes()} if (root / key).is_file() else files(root / key) for key in keys}
