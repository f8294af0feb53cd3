"""Writing an export: weights, tokenizer, template and card into a folder; reloaded and compared before it counts."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment.export.errors import FolderTaken
from alignment.export.plan import GENERATION, TEMPLATES, Plan, adapter_settings, require_room
from alignment.export.record import Comparison
from alignment.training.failures import named
from alignment.training.folder import ADAPTER

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from alignment.export.compare import Rendered

SHARD = "5GB"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
CARD = "README.md"
Tell = Callable[[str], None]
WriteCard = Callable[[Comparison], str]


@dataclass(frozen=True)
class Base:
    """How an adapter's base is named to others: a hub id at a revision, or a plain name where it has none."""

    name: str
    revision: str | None = None


@dataclass(frozen=True)
class Exported:
    """A finished folder: its files as `{name, size, sha256}`, and how it compares with its checkpoint."""

    folder: Path
    dtype: str
    files: list[dict[str, Any]]
    comparison: Comparison


def export(order: Plan, place: Path, base: Base | None, card: WriteCard, tell: Tell) -> Exported:
    """Write a new folder, whole or not at all.  Raises TrainingError: FolderTaken, DiskFull, ExportDiffers, …"""
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise FolderTaken(f"{place} is not an empty folder, and nothing is overwritten.", "Name a new folder.", "out")
    partial = place.with_name(f".{place.name}.partial")
    try:
        try:
            partial.mkdir(parents=True)
            made = write(order, partial, base, card, tell)
            partial.replace(place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise named(error) from error
    return Exported(place, made.dtype, made.files, made.comparison)


def write(
    order: Plan, folder: Path, base: Base | None, card: WriteCard, tell: Tell, *, max_shard_size: str = SHARD
) -> Exported:
    """Fill an empty folder; what it held is worthless when this raises.

    `tell` hears `loading`, `writing`, `comparing`, `finishing`. Raises TrainingError, or the disk's OSError.
    """
    from alignment.export import compare
    from alignment.training.model import load_model, load_tokenizer

    require_room(folder, order.bytes)
    tell("loading")
    rendered = compare.render(load_tokenizer(order.checkpoint))
    model = load_model(order.checkpoint)
    expected = compare.logits(model, rendered)
    try:
        if order.kind == "adapter":
            tell("writing")
            _write_adapter(order, folder, base or Base(order.chain[1].name))
            written = expected
        else:
            written = _round(order, model, rendered, expected)
            tell("writing")
            _write_whole(order, model, folder, max_shard_size)
    except Exception as error:  # a full disk has many faces; whichever it shows gets its name
        raise named(error) from error
    del model  # two of them may not fit into memory
    gc.collect()
    for source in order.copied:
        _copy(source, folder)
    tell("comparing")
    comparison = _compare(order, folder, rendered, expected, written)
    tell("finishing")
    (folder / CARD).write_text(card(comparison), encoding="utf-8")
    return Exported(folder, order.dtype, _sealed(folder), comparison)


def _round(order: Plan, model: PreTrainedModel, rendered: Rendered, expected: list[Tensor]) -> list[Tensor]:
    """What the model answers with its weights rounded to the written dtype, computed in float32."""
    import torch

    from alignment.export import compare

    dtype = getattr(torch, order.dtype)
    if dtype in (torch.float32, torch.float64):
        return expected
    for parameter in model.parameters():  # and no buffers: rotary frequencies, say, are no weights and stay as they are
        parameter.data = parameter.data.to(dtype).float()
    return compare.logits(model, rendered)


def _compare(
    order: Plan, folder: Path, rendered: Rendered, expected: list[Tensor], written: list[Tensor]
) -> Comparison:
    """What is in `folder` against what was meant to be written, and against the checkpoint.  Raises ExportDiffers."""
    from alignment.export import compare
    from alignment.training.model import load_adapted, load_model

    reloaded = load_adapted(order.chain[1], folder) if order.kind == "adapter" else load_model(folder)
    found = compare.logits(reloaded, rendered)
    rounded = order.dtype in ("bfloat16", "float16")
    if order.kind == "merged":
        compare.compare(written, found, compare.EXACT)
    compare.require_same_chats(rendered, compare.read_tokenizer(folder))
    return compare.compare(expected, found, compare.ROUNDED if rounded else compare.EXACT)


def _write_whole(order: Plan, model: PreTrainedModel, folder: Path, max_shard_size: str) -> None:
    import torch
    from transformers import GenerationConfig

    if any(path.name == GENERATION for path in order.copied):
        model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]  # the checkpoint's own file goes over as it is
    for parameter in model.parameters():
        parameter.data = parameter.data.to(getattr(torch, order.dtype))
    model.save_pretrained(folder, max_shard_size=max_shard_size)


def _write_adapter(order: Plan, folder: Path, base: Base) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    dtype = getattr(torch, order.dtype)
    weights = load_file(order.checkpoint / ADAPTER_WEIGHTS)
    weights = {name: weight.to(dtype).contiguous() for name, weight in weights.items()}
    save_file(weights, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    settings = adapter_settings(order.checkpoint) | {"base_model_name_or_path": base.name, "revision": base.revision}
    (folder / ADAPTER).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _copy(source: Path, folder: Path) -> None:
    place = folder / TEMPLATES / source.name if source.parent.name == TEMPLATES else folder / source.name
    place.parent.mkdir(exist_ok=True)
    shutil.copyfile(source, place)


def _sealed(folder: Path) -> list[dict[str, Any]]:
    """Every file with its size and SHA-256, made durable."""
    files = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        path.chmod(0o644)  # weights are written for their writer alone, and a web server may be somebody else
        files.append({"name": path.relative_to(folder).as_posix(), "size": path.stat().st_size, "sha256": digest})
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return files
