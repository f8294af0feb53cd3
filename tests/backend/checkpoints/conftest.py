"""Folders that may or may not become checkpoints, inside an allowed root."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend.settings import Settings

Maker = Callable[..., Path]


def weights(path: Path, shapes: dict[str, list[int]] | None = None, *, cut: int = 0) -> None:
    """A safetensors file of zeros, its last `cut` bytes missing."""
    header: dict[str, Any] = {}
    end = 0
    for name, shape in (shapes or {"model.embed_tokens.weight": [8, 4], "model.layers.0.w.weight": [4, 4]}).items():
        size = 4 * shape[0] * shape[1]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    raw = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + b"\0" * max(0, end - cut))


def header(*, shape: Any) -> bytes:
    """A safetensors file of one tensor that says of itself that it has `shape`."""
    raw = json.dumps({"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, 64]}}).encode()
    return struct.pack("<Q", len(raw)) + raw + b"\0" * 64


def config(**changes: Any) -> str:
    """The config.json of a small Llama."""
    return json.dumps({"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 128} | changes)


@pytest.fixture
def root(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the admin allows."""
    root = tmp_path / "models"
    root.mkdir()
    monkeypatch.setattr(settings, "checkpoint_roots", (root,))
    shutil.rmtree(settings.checkpoints, ignore_errors=True)
    return root


@pytest.fixture
def make_folder(root: Path) -> Maker:
    """Makes a checkpoint folder below the root, good but for the changes."""

    def make(name: str = "good", *, without: tuple[str, ...] = (), **files: str | bytes) -> Path:
        folder = root / name
        folder.mkdir(parents=True)
        contents: dict[str, str | bytes] = {
            "config.json": config(),
            "tokenizer.json": "{}",
            "tokenizer_config.json": json.dumps({"chat_template": "{{ messages }}", "eos_token": "</s>"}),
        }
        contents |= {key.replace("__", "."): value for key, value in files.items()}
        weights(folder / "model.safetensors")
        for file, content in contents.items():
            (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
        for file in without:
            (folder / file).unlink()
        return folder

    return make
