"""A worker that is killed in the middle of an import."""

import os
import signal
import subprocess
import sys
import time

import pytest
from sqlalchemy import func, select

from backend.datasets import imports
from backend.datasets.models import Dataset, Item
from backend.db import transaction
from backend.labels.models import Label
from tests.backend.datasets.conftest import finished, lines, pair, start
from tests.conftest import Client

SLOW_WORKER = """
import time
from workers.tasks import imports
write = imports._Reader._write
def slow(reader, batch):
    write(reader, batch)
    print("written", flush=True)
    time.sleep(60)
imports._Reader._write = slow
imports.work()
"""


@pytest.mark.usefixtures("warm")
def test_killed_import_leaves_nothing(researcher: Client) -> None:
    """kill -9 in the middle: no dataset, item or label is left, and the sweep says that the import failed."""
    row = start(researcher, lines([pair(n) for n in range(2_100)]))
    worker = subprocess.Popen([sys.executable, "-c", SLOW_WORKER], stdout=subprocess.PIPE, env=dict(os.environ))
    assert worker.stdout is not None
    with worker.stdout:
        assert b"written\n" in iter(worker.stdout.readline, b"")
        worker.send_signal(signal.SIGKILL)
        worker.wait()

    deadline = time.monotonic() + 20
    while finished(researcher, row["id"])["state"] != "failed" and time.monotonic() < deadline:
        with transaction() as session:
            imports.sweep(session)
    ended = finished(researcher, row["id"])
    assert (ended["state"], ended["reason"], ended["remedy"]) == ("failed", imports.LOST, imports.AGAIN)
    with transaction() as session:
        for table in (Dataset, Item, Label):
            assert session.scalar(select(func.count()).select_from(table)) == 0
