"""A tiny trained adapter, and an export of it that is finished without a worker."""

import hashlib
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.db import transaction
from backend.exports import service
from backend.exports.models import Export
from backend.settings import Settings
from backend.work import State
from tests import exporting, loop
from tests.conftest import Client

CONTENT = {"README.md": b"# Card\n", "model.safetensors": bytes(range(256)) * 40, "a/b.jinja": b"{{ x }}", "empty": b""}
Finish = Callable[..., Export]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base folder and an adapter on it."""
    root = tmp_path_factory.mktemp("exporting")
    base = loop.tiny_checkpoint(root / "base")
    return base, exporting.adapter_folder(base, root / "adapter")


@pytest.fixture
def trained(clean: None, folders: tuple[Path, Path]) -> exporting.Trained:
    return exporting.add_trained(*folders)


@pytest.fixture
def finish(settings: Settings) -> Finish:
    """Ends a queued export as a worker would, with made-up files."""

    def run(export_id: str, content: dict[str, bytes] = CONTENT) -> Export:
        place = settings.data / "exports" / export_id
        files = []
        for name, data in sorted(content.items()):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)
            files.append({"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()})
        with transaction() as session:
            row = session.get_one(Export, uuid.UUID(export_id))
            row.files, row.written_dtype, row.state = files, "float32", State.succeeded
            row.bytes = sum(len(data) for data in content.values())
            return row

    return run


@pytest.fixture
def done(researcher: Client, trained: exporting.Trained, finish: Finish) -> Export:
    """A finished export of the adapter, merged."""
    asked = researcher.post("/api/v1/exports", json={"checkpoint_id": str(trained.adapter.id)})
    assert asked.status_code == 202, asked.text
    return finish(asked.json()["id"])


@pytest.fixture
def place(settings: Settings, done: Export) -> Path:
    """Where the finished export lies."""
    return settings.data / service.key(done.id)
