"""What a checkpoint folder holds, read without loading it; or why it cannot be registered.

`alignment.training.folder` reads the facts. Here stand the rules of a server that shares its folders with people: no
links, no code, no adapters of unknown bases, no half-copied weights.
"""

import json
import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment.training.errors import CheckpointRefused
from alignment.training.folder import has_template, inspect

MARKS = ("config.json", "adapter_config.json", "*.safetensors", "pytorch_model*.bin", "model.safetensors.index.json")
CONFIGURATIONS = ("config.json", "tokenizer_config.json", "generation_config.json", "processor_config.json")
MAX_HEADER_BYTES = 100_000_000  # the format's own limit
MAX_JSON_BYTES = 50 << 20
COPY_AGAIN = "Copy the whole folder again."


class Unfit(ValueError):
    """A folder that cannot be registered; `reason` and `remedy` are sentences for people."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


@dataclass(frozen=True)
class Facts:
    """What a folder says of its weights; those of an adapter are its base's. Without a `template` it cannot be used."""

    architecture: str
    parameters: int
    max_tokens: int | None
    adapter: bool
    template: bool
    reward_model: bool = False


def looks_like_checkpoint(folder: Path) -> bool:
    """Whether somebody may have meant `folder` to be a checkpoint."""
    return any(next(folder.glob(mark), None) is not None for mark in MARKS)


def read_outside(folder: Path) -> Facts:
    """The facts of a folder that somebody wants to register. Raises Unfit with the reason."""
    try:
        return _checked(folder)
    except OSError as error:
        raise Unfit(
            "A file in it cannot be read.", "Let the user that runs Plumbline read the whole folder."
        ) from error


def _checked(folder: Path) -> Facts:
    _refuse_links(folder)
    if (folder / "adapter_config.json").is_file():
        raise Unfit(
            "This is an adapter, which needs its base model.",
            "Merge it into its base (`merge_and_unload()` of peft), save the result, and register that folder.",
        )
    _refuse_custom_code(folder)
    facts = read_own(folder)
    if "CausalLM" not in facts.architecture and "LMHead" not in facts.architecture:
        raise Unfit(
            f"config.json names the architecture “{facts.architecture[:80]}”, which does not generate text.",
            "Choose a causal language model (its architecture ends in ForCausalLM).",
        )
    _refuse_missing_shards(folder)
    for file in sorted(folder.glob("*.safetensors")):
        _refuse_cut_off(file)
    return facts


def read_reported(folder: Path) -> Facts:
    """The facts of a folder that a program elsewhere says our training wrote. Raises Unfit with the reason."""
    try:
        _refuse_custom_code(folder)
        facts = read_own(folder)
        _refuse_missing_shards(folder)
        for file in sorted(folder.glob("*.safetensors")):
            _refuse_cut_off(file)
    except (OSError, ValueError, struct.error) as error:
        if isinstance(error, Unfit):
            raise
        raise Unfit("A file in it is damaged.", COPY_AGAIN) from error
    return facts


def read_own(folder: Path) -> Facts:
    """The facts of a folder that our own training wrote. Raises Unfit with the reason."""
    try:
        found, template = inspect(folder, template=False), has_template(folder)
    except CheckpointRefused as error:
        raise Unfit(error.detail, error.remedy) from error
    if found.parameters == 0:
        raise Unfit("The safetensors files hold no weights.", COPY_AGAIN)
    return Facts(found.architecture, found.parameters, found.max_tokens, found.adapter, template, found.reward_model)


def _refuse_links(folder: Path) -> None:
    """A link could lead out of the allowed folder after it was checked."""
    with os.scandir(folder) as listed:
        entries = list(listed)
    for entry in entries:
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            raise Unfit(f"{entry.name[:80]} is a symbolic link.", "Copy the files themselves into the folder.")
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise Unfit(f"{entry.name[:80]} is no ordinary file.", "Remove it from the folder.")


def _refuse_custom_code(folder: Path) -> None:
    for name in CONFIGURATIONS:
        path = folder / name
        if path.is_file() and _json(path).get("auto_map"):
            raise Unfit(
                f"It needs code of its own (auto_map in {name}), and Plumbline never runs a checkpoint's code.",
                "Choose a model of an architecture that transformers knows.",
            )


def _refuse_missing_shards(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return
    shards = _json(index).get("weight_map")
    names = sorted({str(name) for name in shards.values()}) if isinstance(shards, dict) else []
    missing = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
    if missing or not names:
        what = missing[0][:80] if missing else "the index names none"
        raise Unfit(f"A part of the weights is missing: {what}.", COPY_AGAIN)


def _refuse_cut_off(file: Path) -> None:
    """The header says where the last value ends; the file must reach exactly so far."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        if length > MAX_HEADER_BYTES or 8 + length > size:
            raise Unfit(f"{file.name} is cut off, or no safetensors file.", COPY_AGAIN)
        header = json.loads(opened.read(length))
    header.pop("__metadata__", None)
    try:
        end = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise Unfit(f"{file.name} does not say where its tensors lie.", COPY_AGAIN) from error
    if 8 + length + end != size:
        raise Unfit(f"{file.name} is cut off: {size} bytes of {8 + length + end}.", COPY_AGAIN)


def _json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise Unfit(f"{path.name} is larger than any configuration.", "Choose another folder.")
    try:
        value = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Unfit(f"{path.name} is not readable JSON.", COPY_AGAIN) from error
    if not isinstance(value, dict):
        raise Unfit(f"{path.name} is not a table of settings.", COPY_AGAIN)
    return value
