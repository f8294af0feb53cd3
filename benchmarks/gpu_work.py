"""What the GPU's benchmark trains, and who is measured."""

import json
import random
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.engine_side import Measured, Side

EXAMPLES, STEPS, ROUNDS = 8, 3, 3
OURS, TRL = (0, 6144, 24_576), (1, 2, 4, 8)
QWEN3 = {"num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128}
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen3-0.6b": (
        "qwen3",
        QWEN3 | {"hidden_size": 1024, "intermediate_size": 3072, "vocab_size": 151_936, "tie_word_embeddings": True},
    ),
    "qwen3-1.7b": (
        "qwen3",
        QWEN3 | {"hidden_size": 2048, "intermediate_size": 6144, "vocab_size": 151_936, "tie_word_embeddings": True},
    ),
    "llama-8b": (
        "llama",
        {
            "hidden_size": 4096,
            "intermediate_size": 14_336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "vocab_size": 128_256,
        },
    ),
    "tiny": (
        "llama",
        {
            "hidden_size": 64,
            "intermediate_size": 160,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": 1024,
        },
    ),
}


class Case(NamedTuple):
    """What is trained: a model's shape, with adapters or whole, on sequences of so many tokens."""

    shape: str
    lora: bool
    tokens: int

    @property
    def name(self) -> str:
        """As it is told."""
        return f"{self.shape}, {'adapters' if self.lora else 'full'}, {self.tokens} tokens"


class Rival(NamedTuple):
    """A side with the size of what it computes at once; `again` with layers computed again in the backward pass."""

    name: str
    size: int
    again: bool = False

    @property
    def key(self) -> str:
        """As it is kept."""
        return f"{self.name}/{self.size}{'/again' if self.again else ''}"


Seen = dict[str, list[Measured | str]]
"""By rival: what was measured, or why nothing could be."""


def rivals() -> list[Rival]:
    """Who is measured at all."""
    found = [Rival("Plumbline", size) for size in OURS]
    if find_spec("trl") is not None:
        found += [Rival("TRL", size) for size in TRL]
        if find_spec("liger_kernel") is not None:
            found += [Rival("TRL with Liger", size) for size in TRL]
    return [rival._replace(again=again) for again in (False, True) for rival in found]


def side_of(case: Case, rival: Rival, device: str) -> Side:
    """The measurement as a process takes it."""
    return Side(
        side="plumbline" if rival.name == "Plumbline" else "trl",
        size=rival.size,
        lean=False,
        cached=True,
        precision="bf16" if case.lora else "pure_bf16",
        loss="dpo",
        examples=EXAMPLES,
        steps=STEPS,
        device=device,
        lora=case.lora,
        again=rival.again,
        liger=rival.name.endswith("Liger"),
    )


def prepare(folder: Path, case: Case, device: str) -> None:
    """A checkpoint of the shape with random weights and its tokenizer, and rows of random tokens."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    kind, parts = SHAPES[case.shape]
    if not (folder / "model").exists():
        torch.manual_seed(0)
        words = Tokenizer(models.WordLevel({"<pad>": 0, "<end>": 1}, unk_token="<pad>"))  # noqa: S106
        fast = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<end>")  # type: ignore[no-untyped-call] # noqa: S106
        fast.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
        config = AutoConfig.for_model(kind, **parts, max_position_embeddings=8192, pad_token_id=0, eos_token_id=1)
        with torch.device(device):
            model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)  # type: ignore[no-untyped-call]
        model.save_pretrained(folder / "model")
        fast.save_pretrained(folder / "model")
        del model
        if device != "cpu":
            torch.cuda.empty_cache()  # those who are measured want it all
    rng, vocabulary = random.Random(0), int(parts["vocab_size"])
    half = case.tokens // 2

    def made(size: float) -> list[int]:
        return [rng.randrange(2, vocabulary) for _ in range(round(size * rng.uniform(2 / 3, 1)))]

    rows = [[made(half), made(half), made(half)] for _ in range(EXAMPLES * STEPS)]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")


def following(seen: Seen) -> Rival | None:
    """Whose turn it is: everybody once, then the best of both sides in turns; None when all is known."""
    everybody = rivals()
    for rival in everybody:
        if not seen.get(rival.key):
            return rival
    finalists = [best for best in chosen(seen) if best is not None]
    behind = min(finalists, key=lambda rival: len(seen[rival.key]), default=None)
    return None if behind is None or len(seen[behind.key]) >= ROUNDS else behind


def chosen(seen: Seen) -> tuple[Rival | None, Rival | None]:
    """Our best and TRL's best, by their first measurement; of ours those that take no more memory than TRL's best, or
    the one that takes least."""
    first = {rival: seen[rival.key][0] for rival in rivals() if seen.get(rival.key)}
    known = {rival: one for rival, one in first.items() if not isinstance(one, str)}

    def fastest(some: list[Rival]) -> Rival | None:
        return min(some, key=lambda rival: known[rival]["seconds"], default=None)

    theirs = fastest([rival for rival in known if rival.name != "Plumbline"])
    most = peak(known[theirs]) if theirs else float("inf")
    own = [rival for rival in known if rival.name == "Plumbline"]
    least = min(own, key=lambda rival: peak(known[rival]), default=None)
    return fastest([rival for rival in own if peak(known[rival]) <= most]) or least, theirs


def peak(one: Measured) -> float:
    """MiB held at most, the loaded model included."""
    return one["loaded_mib"] + one["mib"]
