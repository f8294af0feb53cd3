"""What an export will hold, known before any weight is loaded: dtype, bytes, files. No torch."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from alignment.amounts import amount
from alignment.export.errors import NoAdapter
from alignment.training.errors import CheckpointRefused, DiskFull
from alignment.training.folder import ADAPTER, BYTES, base_chain, is_reward_model, read_json, tensors

Kind = Literal["merged", "adapter"]
Dtype = Literal["as_trained", "bf16"]

WORDS = {"F64": "float64", "F32": "float32", "BF16": "bfloat16", "F16": "float16"}
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "spiece.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
)
TEMPLATES = "additional_chat_templates"
TERMS = ("LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "NOTICE.txt", "USE_POLICY.md")
GENERATION = "generation_config.json"
LIBRARIES = 512 << 20
MARGIN = 16 << 20  # card, configuration, and what a file system takes for itself


@dataclass(frozen=True)
class Plan:
    """What to write, and from what; `dtype` is the written one, by the name that torch gives it."""

    checkpoint: Path
    chain: tuple[Path, ...]
    kind: Kind
    dtype: str
    weight_bytes: int
    parameters: int
    copied: tuple[Path, ...]

    @property
    def bytes(self) -> int:
        """About what the finished folder takes."""
        return self.weight_bytes + sum(path.stat().st_size for path in self.copied)

    @property
    def memory_bytes(self) -> int:
        """Memory that writing and comparing takes at its height: the libraries, and the whole model in float32."""
        return 4 * self.parameters + LIBRARIES


def plan(checkpoint: Path, kind: Kind, dtype: Dtype) -> Plan:
    """Look at a checkpoint folder's headers alone.  Raises CheckpointRefused, NoAdapter."""
    if is_reward_model(checkpoint):
        raise CheckpointRefused(
            f"{checkpoint.name} is a reward model: an export is compared with its checkpoint by the text that both "
            "write, and it writes none.",
            "Use its folder as it is: transformers loads it as a sequence classifier.",
            "checkpoint",
        )
    chain = tuple(base_chain(checkpoint))
    if kind == "adapter" and len(chain) == 1:
        raise NoAdapter(
            f"{checkpoint.name} holds whole weights, so there is no adapter to write.", "Export it merged.", "kind"
        )
    found = list(tensors(chain[0] if kind == "adapter" else chain[-1]))
    written = "bfloat16" if dtype == "bf16" else as_trained(found, merging=kind == "merged" and len(chain) > 1)
    elements = sum(math.prod(shape) for _, _, shape in found)
    return Plan(
        checkpoint=checkpoint,
        chain=chain,
        kind=kind,
        dtype=written,
        weight_bytes=elements * {"float64": 8, "float32": 4}.get(written, 2),
        parameters=sum(math.prod(shape) for _, _, shape in tensors(chain[-1])),
        copied=tuple(_copied(chain, kind)),
    )


def as_trained(found: list[tuple[str, str, list[int]]], *, merging: bool) -> str:
    """The dtype that loses nothing: the one most weights lie in; float32 for a sum of base and adapter."""
    if merging:
        return "float32"
    counted: Counter[str] = Counter()
    for _, kind, shape in found:
        counted[kind] += BYTES.get(kind, 4) * math.prod(shape)
    largest = counted.most_common(1)[0][0] if counted else "F32"
    if largest not in WORDS:
        raise CheckpointRefused(
            f"The weights lie in {largest}, which cannot be written again without loss.",
            "Export it as bf16.",
            "dtype",
        )
    return WORDS[largest]


def _copied(chain: tuple[Path, ...], kind: Kind) -> Iterator[Path]:
    """Files that go over as they are: tokenizer and templates, sampling defaults, the base's terms."""
    for name in TOKENIZER_FILES:
        if (chain[0] / name).is_file():
            yield chain[0] / name
    yield from sorted((chain[0] / TEMPLATES).glob("*.jinja"))
    wanted = TERMS if kind == "adapter" else (GENERATION, *TERMS)
    for name in wanted:
        first = next((folder / name for folder in chain if (folder / name).is_file()), None)
        if first is not None:
            yield first


def require_room(folder: Path, needed_bytes: int) -> None:
    """Raise DiskFull when `folder`'s disk has no room for an export of so many bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes + MARGIN:
        raise DiskFull(
            f"The export takes {amount(needed_bytes)}, and {amount(free)} are free.",
            "Delete old exports, or free space on the disk of the data folder.",
        )


def adapter_settings(adapter: Path) -> dict[str, Any]:
    """The configuration of an adapter folder.  Raises CheckpointRefused."""
    return read_json(adapter / ADAPTER)


def adapter_rank(adapter: Path) -> int:
    """The largest rank among an adapter's layers, which a server must be told."""
    settings = adapter_settings(adapter)
    pattern = settings.get("rank_pattern")
    ranks = [settings.get("r"), *(pattern.values() if isinstance(pattern, dict) else [])]
    return max((rank for rank in ranks if isinstance(rank, int)), default=1)
