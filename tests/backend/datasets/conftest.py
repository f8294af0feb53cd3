"""Datasets made the way people make them: a file is uploaded, a worker imports it."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Client
from workers.tasks import imports

Importer = Callable[..., dict[str, Any]]


def pair(number: int = 0, **columns: Any) -> dict[str, Any]:
    """A row in TRL's explicit form; each number another prompt."""
    row = {"prompt": f"Say hello number {number}.", "chosen": f"Hello, {number}!", "rejected": f"Go away, {number}."}
    return row | columns


def lines(rows: list[Any]) -> bytes:
    """JSON lines."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def upload(client: Client, content: bytes, filename: str = "pairs.jsonl") -> str:
    """The id of a fresh upload."""
    answer = client.post("/api/v1/uploads", params={"filename": filename}, content=content)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def start(client: Client, content: bytes, **body: Any) -> dict[str, Any]:
    """A queued import of an upload."""
    asked = {"upload_id": upload(client, content), "name": f"set {uuid.uuid4().hex[:8]}"} | body
    answer = client.post("/api/v1/imports", json=asked)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def finished(client: Client, import_id: str) -> dict[str, Any]:
    """The import as the API tells it now."""
    return dict(client.get(f"/api/v1/imports/{import_id}").json())


@pytest.fixture
def imported(researcher: Client) -> Importer:
    """Uploads content, runs the worker's task, and gives the import back."""

    def run(content: bytes, **body: Any) -> dict[str, Any]:
        row = start(researcher, content, **body)
        imports.work()
        return finished(researcher, row["id"])

    return run
