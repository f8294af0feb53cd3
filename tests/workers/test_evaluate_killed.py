"""Workers that are killed in the middle of an evaluation, or that would crowd one machine."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from backend.checkpoints.models import Checkpoint, Source
from backend.db import transaction
from backend.evaluations import progress, service
from backend.evaluations.models import Evaluation, Match
from backend.projects import service as projects
from backend.work import State
from tests.checkpoints import make_llama
from tests.conftest import Client
from workers.answering import SHELF
from workers.tasks import evaluate

TEXTS = [f"Please tell me something about number {index}." for index in range(6)]
pytestmark = pytest.mark.usefixtures("warm")
SLOW_WORKER = """
import time
from workers.tasks import evaluate
evaluate.PROMPTS_AT_ONCE = 2
answer, answered = evaluate._batch, []
def slow(*args):
    if answered:
        print("one batch is kept", flush=True)
        time.sleep(60)
    answered.append(args)
    return answer(*args)
evaluate._batch = slow
evaluate.work()
"""


@pytest.fixture
def launched(researcher: Client, tmp_path: Path) -> Iterator[str]:
    """A queued evaluation of two tiny checkpoints."""
    torch.set_num_threads(1)
    ids = []
    with transaction() as session:
        for seed in range(2):
            row = Checkpoint(
                project_id=projects.default(session).id,
                name=f"C{seed}",
                source=Source.folder,
                path=str(make_llama(tmp_path / f"c{seed}", TEXTS, context=64, seed=seed)),
                architecture="LlamaForCausalLM",
                parameters=1,
            )
            session.add(row)
            session.flush()
            ids.append(str(row.id))
    answer = researcher.post(
        "/api/v1/evaluations",
        json={
            "name": "Killed",
            "contestants": ids,
            "prompts": {"texts": TEXTS},
            "judge": {"name": "rules", "max_words": 2},
            "sampling": {"max_new_tokens": 4},
        },
    )
    assert answer.status_code == 202, answer.text
    yield answer.json()["id"]
    SHELF.clear()


def test_a_killed_worker_loses_no_answer(researcher: Client, launched: str) -> None:
    """kill -9 after a batch: the sweep queues the evaluation again, the next worker goes on, the answers stay."""
    worker = subprocess.Popen([sys.executable, "-c", SLOW_WORKER], stdout=subprocess.PIPE, env=dict(os.environ))
    assert worker.stdout is not None
    with worker.stdout:
        assert b"one batch is kept\n" in iter(worker.stdout.readline, b"")
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    with transaction() as session:
        kept = {match.id: match.response_a for match in session.query(Match) if match.response_a is not None}
        assert len(kept) == 2
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with transaction() as session:
            if service.sweep(session):
                break

    evaluate.work()

    found = researcher.get(f"/api/v1/evaluations/{launched}").json()
    assert (found["state"], found["attempts"], found["done"]) == ("succeeded", 2, 24)
    with transaction() as session:
        assert {match_id: session.get_one(Match, match_id).response_a for match_id in kept} == kept


def test_one_evaluation_at_a_time_on_a_machine(launched: str) -> None:
    """While one is at work here, another process leaves the next one queued; elsewhere it may be taken."""
    with transaction() as session:
        first = session.get_one(Evaluation, uuid.UUID(launched))
        columns = {column.key for column in Evaluation.__table__.columns} - {"id", "created_at"}
        second = Evaluation(**{column: getattr(first, column) for column in columns})
        session.add(second)
        assert progress.take(session) is not None
        assert progress.take(session) is None
        first.host = "another machine"
        session.flush()
        taken = progress.take(session)
        assert taken is not None
        assert (taken.id, taken.state) == (second.id, State.starting)
