"""Two tiny checkpoints on disk and in the database, an evaluation of them, and its worker in this process."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from backend.checkpoints.models import Checkpoint, Source
from backend.db import transaction
from backend.projects import service as projects
from tests.checkpoints import make_llama
from tests.conftest import Client
from workers.answering import SHELF
from workers.tasks import arena, evaluate

NAMES = ("Hidden name of the base", "Hidden name of the tuned")
TEXTS = [f"Please tell me something about number {index}." for index in range(12)]
SAMPLING = {"temperature": 1.0, "top_p": 1.0, "max_new_tokens": 6}
Body = dict[str, Any]
Ask = Callable[..., Body]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Checkpoint folders that answer differently; their context is 128 tokens."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("contestants")
    return [make_llama(root / f"c{seed}", TEXTS, context=128, seed=seed) for seed in range(3)]


@pytest.fixture
def register(clean: None) -> Iterator[Callable[..., uuid.UUID]]:
    """Puts a folder into the database as a checkpoint and gives its id."""

    def add(name: str, folder: Path, *, toy: bool = False) -> uuid.UUID:
        with transaction() as session:
            row = Checkpoint(
                project_id=projects.default(session).id,
                name=name,
                source=Source.folder,
                path=str(folder),
                architecture="LlamaForCausalLM",
                parameters=1,
                max_tokens=128,
                toy=toy,
            )
            session.add(row)
            session.flush()
            return row.id

    yield add
    SHELF.clear()


@pytest.fixture
def pair(register: Callable[..., uuid.UUID], folders: list[Path]) -> list[str]:
    """Ids of two checkpoints."""
    return [str(register(name, folder)) for name, folder in zip(NAMES, folders, strict=False)]


@pytest.fixture
def three(pair: list[str], register: Callable[..., uuid.UUID], folders: list[Path]) -> list[str]:
    """Ids of three checkpoints."""
    return [*pair, str(register("Hidden name of the third", folders[2]))]


@pytest.fixture
def body(pair: list[str]) -> Body:
    """A good POST /evaluations."""
    return {
        "name": "Tuned against base",
        "contestants": pair,
        "prompts": {"texts": TEXTS},
        "judge": {"name": "rules", "max_words": 3},
        "sampling": SAMPLING,
        "seed": 5,
    }


@pytest.fixture
def evaluated(researcher: Client, body: Body) -> Body:
    """An evaluation that has been run, judged by rules."""
    answer = researcher.post("/api/v1/evaluations", json=body)
    assert answer.status_code == 202, answer.text
    evaluate.work()
    found: Body = researcher.get(f"/api/v1/evaluations/{answer.json()['id']}").json()
    return found


@pytest.fixture
def ask(pair: list[str]) -> Callable[..., Body]:
    """Asks the arena as a client and lets the worker answer."""

    def asking(client: Client, prompt: Any = "Tell me about tea.", **more: Any) -> Body:
        answer = client.post("/api/v1/arena/battles", json={"prompt": prompt, "sampling": SAMPLING, **more})
        assert answer.status_code == 202, answer.text
        arena.work()
        found: Body = client.get(f"/api/v1/arena/battles/{answer.json()['id']}").json()
        return found

    return asking


def vote(client: Client, match_id: str, value: Body, client_id: str | None = None, **more: Any) -> Any:
    """Send a verdict on an evaluation's match."""
    return client.post(f"/api/v1/matches/{match_id}/verdicts", json=_said(value, client_id) | more)


def ballot(client: Client, battle_id: str, value: Body, client_id: str | None = None) -> Any:
    """Send a vote on a battle of the arena."""
    return client.post(f"/api/v1/arena/battles/{battle_id}/vote", json=_said(value, client_id))


def _said(value: Body, client_id: str | None) -> Body:
    return {"client_id": client_id or str(uuid.uuid4()), "value": value, "seconds": 2.5}


ANNOTATION = {"instruction": "Say hello.", "output_1": "No.", "output_2": "Hello!", "generator_1": "base",
              "generator_2": "kind", "annotator": "judge-x", "preference": 1.75}  # fmt: skip
TALK = [{"role": "user", "content": "Say hello."}, {"role": "assistant", "content": "Hello."}]
BATTLE: Body = {"model_a": "one", "model_b": "two", "winner": "model_b", "question_id": "q1"}


def upload(client: Client, rows: Any) -> str:
    raw = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
    sent = client.post("/api/v1/uploads", params={"filename": "results.json"}, content=raw,
                       headers={"content-type": "application/octet-stream"})  # fmt: skip
    assert sent.status_code == 201, sent.text
    return str(sent.json()["id"])


@pytest.fixture
def imported(researcher: Client) -> Callable[..., Body]:
    """Imports rows and gives the report."""

    def run(rows: Any, **more: Any) -> Body:
        made = researcher.post(
            "/api/v1/evaluations/imports", json={"upload_id": upload(researcher, rows), "name": "Imported", **more}
        )
        assert made.status_code == 201, made.text
        report: Body = researcher.get(f"/api/v1/evaluations/{made.json()['id']}/report").json()
        return report

    return run


def go_on(client: Client, battle: Body, text: str) -> Body:
    """The next turn, answered."""
    answer = client.post(f"/api/v1/arena/battles/{battle['id']}/turns", json={"text": text})
    assert answer.status_code == 202, answer.text
    arena.work()
    found: Body = client.get(f"/api/v1/arena/battles/{answer.json()['id']}").json()
    assert found["state"] == "succeeded", found["reason"]
    return found
