"""What the engine's benchmarks train on: public pairs and made ones as token ids, and a Llama of nine million."""

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
VOCABULARY = 8192
LONG_PROMPT = 250
LONGEST_PROMPT, LONGEST_RESPONSE = 1024, 512
RESPONSES = 8
TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% if message['role'] == 'assistant' %}<end>{% endif %}{% endfor %}"  # fmt: skip # noqa: E501

Ids = list[list[int]]
"""A prompt and its responses, the better one before the worse; each response with its end."""


class Goal(NamedTuple):
    """What is promised of our pairs a second against another side's: at least so many times as many."""

    against: str
    times: float
    cached: bool = False


class Work(NamedTuple):
    """Examples to train on, how many of them an optimizer step takes, and what is promised."""

    name: str
    rows: list[Ids]
    goals: tuple[Goal, ...] = ()
    examples: int = 16
    steps: int = 3
    tried: tuple[int, ...] = (1, 2, 4, 8, 16)  # pairs at once with which TRL is tried

    @property
    def pairs(self) -> int:
        """Pairs that a comparer of pairs needs for one example: all of its responses against each other."""
        responses = len(self.rows[0]) - 1
        return responses * (responses - 1) // 2


def works(folder: Path) -> Iterable[Work]:
    """Every work, and `folder/model` to train; needs the public data."""
    tokenizer = make_model(folder / "model")
    short = ids(tokenizer, pairs("pairwise_hh_helpful.jsonl"))
    kept = (Goal("TRL best", 3), Goal("TRL best", 3, cached=True), Goal("TRL as shipped", 7))
    yield Work("HH short", short, kept)
    long = [row for row in ids(tokenizer, pairs("pairwise_hh_helpful_long.jsonl")) if len(row[0]) >= LONG_PROMPT]
    yield Work("HH long prompts", long, (Goal("TRL best", 4),))
    rng = random.Random(0)
    yield Work("UltraFeedback-like", [made(rng, (200, 300, 300)) for _ in range(64)])
    lists = [[row[0], *_others(rng, short, row)] for row in short[:64]]
    yield Work("8 responses per prompt", lists, (Goal("TRL best", 6),), examples=2, tried=(1, 2, 4, 8))


def made(rng: random.Random, sizes: Sequence[int]) -> Ids:
    """Random tokens, each part within a third of its size."""
    return [[rng.randrange(2, VOCABULARY) for _ in range(round(size * rng.uniform(2 / 3, 4 / 3)))] for size in sizes]


def _others(rng: random.Random, rows: Sequence[Ids], row: Ids) -> Ids:
    """The row's own responses and others of real people, to make a list."""
    return [*row[1:], *(rng.choice(rows)[1] for _ in range(RESPONSES - 2))]


def pairs(name: str) -> Iterable[tuple[str, str, str]]:
    """Prompt, chosen and rejected of a public file, as text."""
    for line in (SHARED / name).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield _text(row["prompt"]), _text(row["chosen"]), _text(row["rejected"])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in value)


def ids(tokenizer: Any, rows: Iterable[tuple[str, str, str]]) -> list[Ids]:
    """The rows as token ids, cut; none whose responses are then the same."""
    end = tokenizer.eos_token_id
    found = []
    for row in rows:
        prompt, chosen, rejected = tokenizer(list(row))["input_ids"]
        answers = [[*answer[:LONGEST_RESPONSE], end] for answer in (chosen, rejected)]
        found.append([prompt[-LONGEST_PROMPT:], *answers])
    return [row for row in found if row[0] and row[1] != row[2]]


def make_model(folder: Path) -> Any:
    """A Llama of nine million parameters with random weights; returns its tokenizer, trained on the public pairs."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for row in pairs("pairwise_hh_helpful.jsonl") for text in row), trainer)
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token="<pad>",  # noqa: S106
        eos_token="<end>",  # noqa: S106
    )
    fast.chat_template = TEMPLATE
    llama(fast.eos_token_id, fast.pad_token_id).save_pretrained(folder)
    fast.save_pretrained(folder)
    return fast


def llama(end: int | None = None, padding: int | None = None) -> Any:
    """A Llama of nine million parameters with random weights, the same each time."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        eos_token_id=end,
        pad_token_id=padding,
    )
    return LlamaForCausalLM(config)
