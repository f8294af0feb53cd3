"""One run of the estimates' benchmark: made, or trained, which prints a line of JSON.

python -m benchmarks.estimates_side FOLDER '{"name": …, "hidden": 256, …}' [make]
"""

import json
import random
import sys
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict

WORDS = 8192
PAIRS, EXAMPLES = 24, 8
TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }} "
    "{% if message['role'] == 'assistant' %}<end>{% endif %}{% endfor %}"
)


class Shape(NamedTuple):
    """A run: a model of eight layers, the lengths of its pairs in tokens, and its settings."""

    name: str
    hidden: int = 256
    prompt: int = 125
    response: int = 45
    tuning: Literal["full", "lora"] = "full"
    precision: str = "fp32"
    gradient_checkpointing: str = "off"
    tokens: int = 512
    kind: str = "llama"


class Told(TypedDict):
    """Bytes that were estimated, by part, and taken above the libraries; what was counted, and how fast the last step
    was."""

    estimated: int
    taken: int
    parts: dict[str, int]
    steps: int
    tokens: int
    tokens_computed: int
    tokens_per_second: float


def make_model(folder: Path, shape: Shape) -> None:
    """A checkpoint with random weights whose tokenizer has a token for each word."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    words = {"<pad>": 0, "<end>": 1} | {f"w{number}": number for number in range(2, WORDS)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token="<pad>",  # noqa: S106
        eos_token="<end>",  # noqa: S106
    )
    fast.chat_template = TEMPLATE
    config = AutoConfig.for_model(
        shape.kind,
        vocab_size=WORDS,
        hidden_size=shape.hidden,
        intermediate_size=shape.hidden * 43 // 16,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)  # type: ignore[no-untyped-call]
    fast.save_pretrained(folder)


def make_pairs(path: Path, shape: Shape) -> None:
    """Pairs of about the stated lengths, each a half shorter to a half longer: `PAIRS` to train on, and what is drawn
    for other splits on the way."""
    from alignment.formats import Item
    from alignment.formats.split import split_of

    rng = random.Random(0)

    def text(length: int) -> str:
        return " ".join(f"w{rng.randrange(2, WORDS)}" for _ in range(rng.randint(length // 2, length * 3 // 2)))

    rows: list[dict[str, str]] = []
    trained = 0
    while trained < PAIRS:
        rows.append({"prompt": text(shape.prompt), "chosen": text(shape.response), "rejected": text(shape.response)})
        prompt = Item([{"role": "user", "content": rows[-1]["prompt"]}], [])
        trained += split_of("", prompt.prompt_hash) == "train"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")


def spec_of(folder: Path, shape: Shape) -> dict[str, Any]:
    """The run as it is told to training."""
    return {
        "checkpoint": str(folder / "model"),
        "snapshots": [{"path": str(folder / "pairs.jsonl"), "format": "trl"}],
        "objective": {"name": "dpo"},
        "tuning": {"kind": shape.tuning},
        "batch": {"examples_per_step": EXAMPLES, "tokens_per_pack": shape.tokens},
        "length": {"max_prompt_tokens": 2048, "max_response_tokens": 1024},
        "duration": {"epochs": 1},
        "evaluate": {"samples": 0},
        "precision": shape.precision,
        "gradient_checkpointing": shape.gradient_checkpointing,
    }


def main() -> None:
    """Run what the command line says; the model is made by a process before, whose memory does not count."""
    folder, shape = Path(sys.argv[1]), Shape(**json.loads(sys.argv[2]))
    if len(sys.argv) > 3:
        make_model(folder / "model", shape)
        make_pairs(folder / "pairs.jsonl", shape)
        return
    print(json.dumps(told(folder, shape)))


def told(folder: Path, shape: Shape) -> Told:
    """What was estimated, and what a run then took."""
    import gc

    import psutil

    from alignment.training.machine import share

    share()
    import torch
    import transformers.models.llama.modeling_llama
    import transformers.models.stablelm.modeling_stablelm  # noqa: F401  (what every run loads is not the run's)

    from alignment.training import loop, prepare, reference, train  # noqa: F401
    from alignment.training.spec import Spec
    from benchmarks.engine_side import peak_mib

    weight = torch.nn.Parameter(torch.zeros(1))  # what torch loads with the first step is not the run's either
    torch.autograd.backward(weight.sum())
    torch.optim.AdamW([weight], fused=True).step()
    gc.collect()
    before = psutil.Process().memory_info().rss
    print(before / 2**20, file=sys.stderr)
    heard: list[dict[str, Any]] = []
    summary = train(Spec.model_validate(spec_of(folder, shape)), folder / "out", heard.append)
    parts: dict[str, int] = next(event["memory"] for event in heard if "memory" in event)
    steps = [event for event in heard if event["type"] == "step" and event["examples"]]
    return Told(
        estimated=sum(parts.values()),
        taken=int(peak_mib("cpu") * 2**20) - before,
        parts=parts,
        steps=len(steps),
        tokens=sum(step["tokens"] for step in steps),
        tokens_computed=round(sum(step["tokens"] / step["values"]["throughput/sharing_factor"] for step in steps)),
        tokens_per_second=summary.metrics["throughput/tokens_per_second"] or 0.0,
    )


if __name__ == "__main__":
    main()
