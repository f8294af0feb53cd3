"""Backup and restore of an instance of 1 GB through the command line, and whether all rows and files came back."""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import psutil

from backend.db import migrate
from benchmarks.figure import Figure
from plumbline.backup import database
from plumbline.embedded import Embedded

ROOT = Path(__file__).parents[1]
TOTAL, CHECKPOINTS, ITEMS = 1 << 30, 4, 100_000
# Prompts of 400 characters, answers of 400 and 800, no two alike, and a label for each pair.
FILL = """
WITH project AS (INSERT INTO projects (name) VALUES ('Benchmark') RETURNING id),
dataset AS (INSERT INTO datasets (project_id, name, kind, description, toy, splits)
    SELECT id, 'Pairs', 'paired', '', false, '{{}}' FROM project RETURNING id, project_id),
made AS (INSERT INTO items
        (project_id, dataset_id, position, split, prompt, prompt_hash, content_hash, responses, facts, judged)
    SELECT project_id, id, n, 'train',
        jsonb_build_array(jsonb_build_object('role', 'user', 'content', words || n)), md5('p' || n), md5('c' || n),
        jsonb_build_array(
            jsonb_build_object('role', 'assistant', 'content', reverse(words)),
            jsonb_build_object('role', 'assistant', 'content', words || words)), '{{}}', false
    FROM dataset, generate_series(1, {items}) n,
        LATERAL (SELECT string_agg(md5(n::text || k), ' ') AS words FROM generate_series(1, 12) k) each
    RETURNING id, project_id, dataset_id)
INSERT INTO labels (project_id, dataset_id, item_id, source, value)
SELECT project_id, dataset_id, id, 'import', '{{"strength": 1}}' FROM made
"""
CHECKPOINT = """
INSERT INTO checkpoints (project_id, name, source, path, adapter, architecture, parameters, toy, own_template, pinned)
SELECT id, %s, 'hub', %s, false, 'LlamaForCausalLM', 1000000, false, true, false FROM projects
"""


def measure() -> list[Figure]:
    """One instance filled to 1 GB of rows and weights that cannot be packed, backed up and restored elsewhere."""
    with tempfile.TemporaryDirectory(prefix="plumbline-backup-") as folder:
        here, there, archive = Path(folder) / "here", Path(folder) / "there", Path(folder) / "backup.tar"
        rows = fill(here)
        before = digest(here)
        made, made_memory = run("backup", str(archive), "--data", str(here))
        size = archive.stat().st_size
        brought, brought_memory = run("restore", str(archive), "--data", str(there))
        lost = len(set(before.items()) - set(digest(there).items()))
    held = f"{size / 1e9:.2f} GB: {rows:,} rows and {CHECKPOINTS} checkpoints of {weights() / 2**20:.0f} MiB"
    return [
        Figure("backup", made, "s", note=f"{held}, command start to end"),
        Figure("backup, bytes of the archive", size / made / 1e6, "MB/s"),
        Figure("backup, most memory", made_memory / 2**20, "MiB", note="of the command, without the database"),
        Figure("restore", brought, "s", note="the same, checked and loaded into a new database, indexes and keys too"),
        Figure("restore, bytes of the archive", size / brought / 1e6, "MB/s"),
        Figure("restore, most memory", brought_memory / 2**20, "MiB", note="of the command, without the database"),
        Figure(
            "tables and files that are not equal afterwards",
            lost,
            "",
            "none",
            lost == 0,
            f"SHA-256 of {len(before)} tables and files",
        ),
    ]


def weights() -> int:
    """Bytes of one checkpoint: what the rows leave of the whole."""
    return (TOTAL - ITEMS * 1_000) // CHECKPOINTS


def fill(folder: Path) -> int:
    """Afterwards the folder holds an instance of about 1 GB; how many rows it has."""
    with Embedded(folder, valkey=False) as servers:
        migrate(servers.database_url)
        with database.connect(servers.database_url) as connection:
            connection.execute(FILL.format(items=ITEMS).encode())
            for number in range(CHECKPOINTS):
                key = f"checkpoints/{uuid.uuid4()}"
                (folder / key).mkdir(parents=True)
                with (folder / key / "model.safetensors").open("wb") as file:
                    for _ in range(weights() >> 20):
                        file.write(os.urandom(1 << 20))
                connection.execute(CHECKPOINT, (f"Checkpoint {number}", key))
        with database.connect(servers.database_url) as connection:
            return sum(_count(connection, table) for table in database.columns(connection))


def _count(connection: Any, table: str) -> int:
    (found,) = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()  # noqa: S608  (a table's own name)
    return int(found)


def digest(folder: Path) -> dict[str, str]:
    """SHA-256 of every table's rows, in the order of their text, and of every file of a checkpoint."""
    found = {}
    with Embedded(folder, valkey=False) as servers, database.connect(servers.database_url) as connection:
        for table in database.columns(connection):
            taken = hashlib.sha256()
            with (
                connection.cursor() as cursor,
                cursor.copy(
                    f'COPY (SELECT to_jsonb(t) FROM "{table}" t ORDER BY to_jsonb(t)::text) TO STDOUT'.encode()  # noqa: S608
                ) as copy,
            ):
                for block in copy:
                    taken.update(block)
            found[table] = taken.hexdigest()
    for path in sorted((folder / "checkpoints").rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                found[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def run(*arguments: str) -> tuple[float, int]:
    """Seconds that the command took, and the most memory that it had."""
    ours = ("DATABASE_URL", "REDIS_URL")
    env = {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("PLUMBLINE")}
    began, most = time.monotonic(), 0
    with subprocess.Popen(
        [sys.executable, "-m", "plumbline", *arguments], cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=sys.stderr
    ) as program:
        watched = psutil.Process(program.pid)
        while program.poll() is None:
            try:
                most = max(most, watched.memory_info().rss)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.1)
    took = time.monotonic() - began
    if program.returncode:
        raise RuntimeError(f"plumbline {arguments[0]} ended with status {program.returncode}")
    return took, most
