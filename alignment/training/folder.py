"""What a checkpoint folder holds, read from its JSON and safetensors headers alone: no weights are loaded, no torch.

A checkpoint is a folder with `config.json` and safetensors weights, or a LoRA adapter (`adapter_config.json`) that
names its base folder; either holds its tokenizer and chat template.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from alignment.training.errors import CheckpointRefused

if TYPE_CHECKING:
    from alignment.training.kinds.scored import RewardLoss

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
ADAPTER = "adapter_config.json"
CLASSIFIER = "SEQ_CLS"  # what peft calls adapters of a sequence classifier
READING = "reward_model.json"
"""How the head of a reward model is read: `RewardLoss.reading`. Beside the weights, because an adapter has no config of
the model that it adapts."""
TEMPLATE = "chat_template.jinja"
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
STACKED = re.compile(r"\.experts\.|\.(input|output)_linear\.")  # in names of weights of all experts as one
LONGEST_CHAIN = 16
LONGEST_HEADER = 100_000_000
LONGEST_JSON = 50 << 20
LARGEST = 2**31 - 1
BYTES = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4, "I8": 1, "U8": 1}


@dataclass(frozen=True)
class CheckpointFacts:
    """What is known of a checkpoint without loading it."""

    folder: Path
    adapter: bool
    base: Path | None
    architecture: str
    parameters: int
    weight_bytes: int
    max_tokens: int | None
    layers: int
    hidden: int
    vocabulary: int
    linear_shapes: tuple[tuple[str, int, int], ...]
    model_type: str = ""  # what transformers calls the language model
    reward_model: bool = False
    biased: bool = False  # its gated networks have biases
    routed: float = 1.0  # share of its experts that a token is sent to
    stacked: int = 0  # weights of experts that are kept as one

    @property
    def active(self) -> float:
        """Weights that a token meets in the layers."""
        return self.routed * self.stacked + sum(
            rows * columns * (self.routed if ".experts." in name else 1) for name, rows, columns in self.linear_shapes
        )


def inspect(folder: Path, *, template: bool = True) -> CheckpointFacts:
    """The facts of a usable checkpoint folder.  Raises CheckpointRefused with the reason when it is not usable.

    With `template=False` one without a chat template passes, as it can be given one.
    """
    if not folder.is_dir():
        raise CheckpointRefused(f"{folder} is not a folder.", "Name the folder of a checkpoint.", "checkpoint")
    _require_tokenizer(folder)
    if template:
        _require_template(folder)
    chain = base_chain(folder)
    config = read_json(chain[-1] / "config.json")
    whole = list(tensors(chain[-1]))
    added = [tensor for adapter in chain[:-1] for tensor in tensors(adapter)]
    text = _text_config(config)
    return CheckpointFacts(
        folder=folder,
        adapter=len(chain) > 1,
        base=chain[1] if len(chain) > 1 else None,
        architecture=_architecture(config),
        parameters=sum(math.prod(shape) for _, _, shape in whole),
        weight_bytes=sum(BYTES.get(kind, 4) * math.prod(shape) for _, kind, shape in whole + added),
        max_tokens=context_of(text),
        layers=_count(text, "num_hidden_layers", "n_layer"),
        hidden=_count(text, "hidden_size", "n_embd"),
        vocabulary=_count(text, "vocab_size"),
        linear_shapes=tuple(
            (name.removesuffix(".weight"), shape[0], shape[1])
            for name, _, shape in whole
            if len(shape) == 2 and not _is_embedding(name)
        ),
        model_type=str(text.get("model_type", config.get("model_type", ""))),
        reward_model=is_reward_model(folder),
        biased=any(name.endswith(".gate_proj.bias") for name, _, _ in whole),
        routed=min(_count(text, "num_experts_per_tok") / max(_count(text, *EXPERTS), 1) or 1.0, 1.0),
        stacked=sum(math.prod(shape) for name, _, shape in whole if len(shape) == 3 and STACKED.search(name)),
    )


def _architecture(config: dict[str, Any]) -> str:
    named = config.get("architectures")
    first = named[0] if isinstance(named, list) and named else config.get("model_type")
    if not isinstance(first, str):
        raise CheckpointRefused("config.json names no architecture.", "Copy the checkpoint again.", "checkpoint")
    return first


def is_reward_model(folder: Path) -> bool:
    """Whether a folder, or what it adapts, scores responses instead of writing them.  Raises CheckpointRefused."""
    return any(_scores(link) for link in base_chain(folder))


def _scores(link: Path) -> bool:
    if (link / ADAPTER).exists():
        return read_json(link / ADAPTER).get("task_type") == CLASSIFIER
    return _architecture(read_json(link / "config.json")).endswith("ForSequenceClassification")


def reading_of(folder: Path) -> RewardLoss:
    """How the head of a reward model is read: what the run that trained it has written beside its weights, else as one
    score where the head gives one number.  Raises CheckpointRefused."""
    from alignment.training.kinds import KINDS

    losses = cast("dict[str, type[RewardLoss]]", KINDS["reward_model"].losses)
    usual = losses["bradley_terry"]
    if not (folder / READING).exists():
        base = base_chain(folder)[-1]
        labels = read_json(base / "config.json").get("id2label")
        if (folder / ADAPTER).exists() or not isinstance(labels, dict) or len(labels) != 1:
            raise CheckpointRefused(
                f"{folder.name} does not say how its head is read: it lacks {READING}, and has not one label.",
                "Choose a reward model that was trained here, or one with a single label.",
                "checkpoint",
            )
        return usual()
    told: Any = read_json(folder / READING).get("objective")
    try:
        return losses[told["name"]].model_validate(told)
    except (AttributeError, KeyError, TypeError, ValidationError) as error:
        raise CheckpointRefused(
            f"The {READING} of {folder.name} names no reward model that is known here.",
            "Copy the checkpoint again.",
            "checkpoint",
        ) from error


def require_language_model(*links: Path, field: str = "checkpoint") -> None:
    """Raise CheckpointRefused when one of a checkpoint's folders scores responses, which then writes none."""
    for link in links:
        if _scores(link):
            raise CheckpointRefused(
                f"{link.name} is a reward model: it scores responses, and writes none.",
                "Choose a language model.",
                field,
            )


def _text_config(config: dict[str, Any]) -> dict[str, Any]:
    """The settings of the language model: a part of the whole where the model sees or hears too."""
    text = config.get("text_config", config)
    if not isinstance(text, dict):
        raise CheckpointRefused(
            "text_config in config.json is not a table of settings.", "Copy the checkpoint again.", "checkpoint"
        )
    return text


def _count(config: dict[str, Any], *names: str) -> int:
    """The first of these settings that is given; 0 when none is."""
    for name in names:
        found = config.get(name)
        if not found:
            continue
        if not isinstance(found, int) or not 0 < found <= LARGEST:
            raise CheckpointRefused(
                f"{name} in config.json is not a number that a model can have.",
                "Copy the checkpoint again.",
                "checkpoint",
            )
        return found
    return 0


def base_chain(folder: Path) -> list[Path]:
    """The folder, then the base it adapts, and so on down to the folder that holds whole weights."""
    chain = [folder]
    while (chain[-1] / ADAPTER).exists():
        base = read_json(chain[-1] / ADAPTER).get("base_model_name_or_path")
        if not isinstance(base, str) or not Path(base).is_dir():
            raise CheckpointRefused(
                f"{chain[-1].name} is an adapter of {base!r}, which is not a folder on this machine.",
                "Put the base back, or correct base_model_name_or_path in adapter_config.json.",
                "checkpoint",
            )
        chain.append(Path(base))
        if len(chain) > LONGEST_CHAIN:
            raise CheckpointRefused(f"{folder.name} is an adapter of itself.", "Name its real base.", "checkpoint")
    for link in chain:
        require_safetensors(link)
    if not (chain[-1] / "config.json").exists():
        raise CheckpointRefused(
            f"{chain[-1].name} has no config.json.", "Choose a folder saved by save_pretrained.", "checkpoint"
        )
    return chain


def context_of(config: dict[str, Any]) -> int | None:
    """The most tokens a model may see at once, from its configuration; None when it names no limit."""
    found = config.get("max_position_embeddings") or config.get("n_positions") or config.get("max_seq_len")
    return found if isinstance(found, int) and 0 < found <= LARGEST else None


def require_safetensors(folder: Path) -> None:
    """Raise CheckpointRefused when the folder has no safetensors weights, saying whether it has pickles."""
    if any(folder.glob("*.safetensors")):
        return
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if pickles:
        raise CheckpointRefused(
            f"{folder.name} holds only pickled weights ({pickles[0]}), which can run code when they are loaded.",
            "Save the model again with safe_serialization (safetensors).",
            "checkpoint",
        )
    raise CheckpointRefused(
        f"{folder.name} holds no safetensors weights.", "Choose a folder with weights.", "checkpoint"
    )


def _require_tokenizer(folder: Path) -> None:
    if not any((folder / name).exists() for name in TOKENIZERS):
        raise CheckpointRefused(
            f"{folder.name} holds no tokenizer.", "Save the tokenizer into the same folder.", "checkpoint"
        )


def has_template(folder: Path) -> bool:
    """Whether a chat template lies in the folder.  Raises CheckpointRefused when its settings cannot be read."""
    if (folder / TEMPLATE).exists() or any((folder / "additional_chat_templates").glob("*.jinja")):
        return True
    settings = folder / "tokenizer_config.json"
    return settings.exists() and bool(read_json(settings).get("chat_template"))


def _require_template(folder: Path) -> None:
    if not has_template(folder):
        raise CheckpointRefused(
            f"{folder.name} has no chat template, so nobody can tell where a response begins.",
            f"Add {TEMPLATE} to the folder, or give the checkpoint a template on its page.",
            "checkpoint",
        )


def tensors(folder: Path) -> Iterator[tuple[str, str, list[int]]]:
    """Name, dtype and shape of every tensor, from the headers."""
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with path.open("rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                header = json.loads(file.read(min(length, LONGEST_HEADER)))
            size = path.stat().st_size
            for name, tensor in header.items():
                if name != "__metadata__":
                    yield name, str(tensor["dtype"]), _shape(tensor["shape"], size)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
            raise CheckpointRefused(
                f"{path.name} in {folder.name} is damaged.", "Copy the checkpoint again.", "checkpoint"
            ) from error


def _shape(shape: Any, size: int) -> list[int]:
    """The shape of a tensor in a file of so many bytes.  Raises ValueError when no tensor there can have it."""
    if not isinstance(shape, list) or not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError("no shape")
    if math.prod(shape) > 8 * size:
        raise ValueError("larger than its file")
    return shape


def _is_embedding(name: str) -> bool:
    return any(part in name for part in ("embed", "wte", "wpe", "lm_head"))


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a checkpoint.  Raises CheckpointRefused."""
    try:
        with path.open("rb") as file:
            raw = file.read(LONGEST_JSON + 1)
        if len(raw) > LONGEST_JSON:
            raise CheckpointRefused(f"{path.name} is larger than any configuration.", "Choose another.", "checkpoint")
        loaded = json.loads(raw.decode("utf-8"))
    except FileNotFoundError:
        raise CheckpointRefused(f"{path.parent.name} has no {path.name}.", "Add the file.", "checkpoint") from None
    except (ValueError, RecursionError):
        raise CheckpointRefused(f"{path.name} is not JSON.", "Copy the checkpoint again.", "checkpoint") from None
    if not isinstance(loaded, dict):
        raise CheckpointRefused(f"{path.name} is not a JSON object.", "Copy the checkpoint again.", "checkpoint")
    return loaded
