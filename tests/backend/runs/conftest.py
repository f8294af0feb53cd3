"""A researcher's project with a tiny checkpoint and labelled pairs, ready to launch from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from backend.checkpoints.models import Checkpoint
from backend.datasets.models import Dataset
from backend.db import transaction
from backend.runs.models import Run
from backend.settings import Settings
from tests import loop
from tests.backend.checkpoints.conftest import config, weights
from tests.checkpoints import make_llama
from tests.conftest import Client

Body = Callable[..., dict[str, Any]]
Launched = Callable[..., dict[str, Any]]


@pytest.fixture
def base(clean: None, tmp_path: Path) -> Checkpoint:
    """A checkpoint of headers alone: launching looks no deeper."""
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text(config())
    (folder / "tokenizer.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    weights(folder / "model.safetensors")
    return loop.add_checkpoint(folder, "Base")


@pytest.fixture
def real(clean: None, tmp_path: Path) -> Checkpoint:
    """A checkpoint with a tokenizer that can be read."""
    make_llama(tmp_path / "real", [answer["content"] for pair in loop.pairs(60) for answer in pair.responses])
    return loop.add_checkpoint(tmp_path / "real", "Real")


@pytest.fixture
def dataset(clean: None) -> Dataset:
    """Sixty labelled pairs."""
    return loop.add_dataset()


@pytest.fixture
def body(base: Checkpoint, dataset: Dataset) -> Body:
    """A valid RunIn; keyword arguments replace parts of it."""
    return lambda **changes: loop.run_body(base, dataset, **changes)


@pytest.fixture
def launched(researcher: Client, body: Body) -> Launched:
    """Launches runs and gives the answers."""

    def launch(**changes: Any) -> dict[str, Any]:
        answer = researcher.post("/api/v1/runs", json=body(**changes))
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    return launch


def change(run_id: str, **columns: Any) -> None:
    """What a worker would have written on the row."""
    with transaction() as session:
        session.execute(update(Run).where(Run.id == run_id).values(**columns))


def run_folder(settings: Settings, run_id: str) -> Path:
    """The run's folder, made."""
    folder = settings.runs.absolute() / run_id
    folder.mkdir(parents=True, exist_ok=True)
    return folder
