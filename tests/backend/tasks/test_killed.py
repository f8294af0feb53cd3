"""The server killed between storing a label and answering: sent again, it is stored once, and nothing is doubled."""

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx2
import pytest
from sqlalchemy import func, select

from backend.accounts.models import Role
from backend.db import transaction
from backend.labels import tallies
from backend.labels.models import Label
from tests.backend.labels.conftest import MakePairs, body
from tests.backend.tasks.conftest import API, deal, make_task
from tests.conftest import Client

MakeClient = Callable[..., Client]
# A server that dies after the label is committed, when the answer is about to be sent.
DYING = """
import os, sys, uvicorn
from backend.app import create_app
from backend.settings import get_settings

app = create_app(get_settings())

async def dying(scope, receive, send):
    async def last(message):
        if scope["path"].endswith("/labels") and message["type"] == "http.response.start":
            os._exit(9)
        await send(message)
    await app(scope, receive, last)

uvicorn.run(dying, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
"""


@contextmanager
def dying() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of a real server that dies when it answers a label."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, "-c", DYING, str(port)], env=os.environ) as program:
        try:
            address = f"http://127.0.0.1:{port}"
            while program.poll() is None:
                try:
                    httpx2.get(f"{address}/health/live", timeout=5)
                    break
                except httpx2.TransportError:
                    time.sleep(0.1)
            yield address, program
        finally:
            program.kill()


@pytest.mark.usefixtures("warm")
def test_killed_before_the_answer(researcher: Client, make_client: MakeClient, make_pairs: MakePairs) -> None:
    """The browser that got no answer sends the label again, with the edit in it: one label, one new item, one count."""
    person = make_client(Role.annotator)
    task = make_task(researcher, make_pairs(2), question={"edits": True})
    (card,) = deal(person, task)
    label = body(card, {"strength": 3}, edit={"response": 0, "text": "What it should have said."})
    path = f"{API}/items/{card['item_id']}/labels"
    with dying() as (address, program):
        headers = {"cookie": "; ".join(f"{name}={value}" for name, value in person.cookies.items()), "origin": address}
        with pytest.raises(httpx2.TransportError):
            httpx2.post(f"{address}{path}", json=label, headers=headers, timeout=60)
        assert program.wait(30) == 9
    with transaction() as session:
        query = select(Label.id).where(Label.task_id == uuid.UUID(task["id"])).order_by(Label.id)
        before = list(session.scalars(query))

    again = person.post(path, json=label)
    assert (again.status_code, again.json()["label"]["id"]) == (201, str(before[0]))
    with transaction() as session:
        assert list(session.scalars(query)) == before
        assert len(before) == 2  # and the one of the edit
        counts = tallies.of_tasks(session, [uuid.UUID(task["id"])], person.user.id)
        assert session.scalar(select(func.count()).where(Label.client_id == uuid.UUID(label["client_id"]))) == 1
    assert counts[uuid.UUID(task["id"])] == tallies.TaskCounts(done=2, given=2)
