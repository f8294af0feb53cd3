"""A run that trains elsewhere, and the program there that reports it."""

import hashlib
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.runs.models import Run
from tests.backend.runs.conftest import Launched, base, body, change, dataset, launched
from tests.conftest import Client

__all__ = ["Launched", "base", "body", "change", "dataset", "launched"]


ME = str(uuid.uuid4())
HASH = "0" * 64


class Reporter:
    """A program elsewhere that has a token for a run."""

    def __init__(self, client: Client, run_id: str, token: str) -> None:
        self.client, self.run, self.token, self.offset = client, run_id, token, 0
        self.headers = {"authorization": f"Bearer {token}", "plumbline-reporter": ME}

    def ask(self, method: str, path: str, **request: Any) -> Any:
        headers = {**self.headers, **request.pop("headers", {})}
        return self.client.request(method, f"/api/v1/report/{self.run}/{path}", headers=headers, **request)

    def start(self) -> Any:
        return self.ask("POST", "start", json={"reporter": ME, "host": "gpu-7", "device": "One"})

    def tell(self, *events: dict[str, Any], offset: int | None = None) -> Any:
        content = "".join(json.dumps(event) + "\n" for event in events).encode()
        answer = self.ask("POST", f"events?offset={self.offset if offset is None else offset}", content=content)
        if answer.status_code == 200:
            self.offset = answer.json()["offset"]
        return answer

    def send(self, step: int, files: dict[str, bytes], **lies: Any) -> Any:
        """Declare, send and store a checkpoint; the first answer that is no success, else the last."""
        listed = [
            {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()} | lies
            for name, data in files.items()
        ]
        answer = self.ask("PUT", f"checkpoints/{step}", json={"files": listed})
        for name, data in files.items():
            if answer.is_success:
                answer = self.ask("POST", f"checkpoints/{step}/files/{name}?offset=0", content=data)
        return self.ask("POST", f"checkpoints/{step}/stored") if answer.is_success else answer


@pytest.fixture
def waiting(launched: Launched) -> dict[str, Any]:
    return launched(where="report")


@pytest.fixture
def allow(researcher: Client, anonymous: Client) -> Callable[[str], Reporter]:
    def allow(run_id: str) -> Reporter:
        answer = researcher.post(f"/api/v1/runs/{run_id}/reporter", json={})
        assert answer.status_code == 201, answer.text
        return Reporter(anonymous, run_id, answer.json()["token"])

    return allow


@pytest.fixture
def reporter(waiting: dict[str, Any], allow: Callable[[str], Reporter]) -> Reporter:
    found = allow(waiting["id"])
    assert found.start().status_code == 200
    return found


@pytest.fixture
def product(base: Checkpoint) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(base.path).iterdir()}


def row(run_id: str) -> Run:
    with transaction() as session:
        return session.get_one(Run, uuid.UUID(run_id))


def step(number: int, **values: float) -> dict[str, Any]:
    return {"type": "step", "time": 1.0, "step": number, "total_steps": 9, "values": values or {"loss": 1.0}}
