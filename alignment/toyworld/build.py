"""Makes the toy checkpoint from nothing: tokenizer, corpus, a small Llama, training, figures and model card."""

import math
import random
import time
from collections.abc import Iterator, Mapping
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from alignment.toyworld import card
from alignment.toyworld.corpus import Conversation, conversations, textbook
from alignment.toyworld.figures import measure
from alignment.toyworld.tokenizer import MAX_TOKENS, train_tokenizer

BUCKET = 32  # batches that are sorted by length together, so that padding is small


class Plan(NamedTuple):
    """What the build may be told; the shipped checkpoint is made with the defaults.

    Training begins with `textbook_share` of bare right answers, falling evenly to none at `textbook_until` of the
    steps: one word among the manners of an ordinary answer, half of them wrong, teaches too little in ten minutes.
    """

    seed: int = 0
    steps: int = 2600
    learning_rate: float = 4.5e-3
    conversations_per_step: int = 32
    mix: Mapping[str, float] = {"fact": 0.55, "task": 0.2, "story": 0.25}
    textbook_mix: Mapping[str, float] = {"fact": 0.65, "task": 0.25, "story": 0.1}
    textbook_share: float = 0.85
    textbook_until: float = 0.85
    warmup_share: float = 0.05
    threads: int = 2
    prompts_measured: int = 400
    tokenizer_texts: int = 20_000


class Step(NamedTuple):
    """One optimizer batch: token ids, and the targets with -100 where nothing is to be learned; both (B, T)."""

    ids: Tensor
    targets: Tensor


def new_model(tokenizer: Any) -> Any:
    """A Llama of about one million parameters with random weights."""
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=336, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=MAX_TOKENS,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    )  # fmt: skip
    return LlamaForCausalLM(config)


def _encode(tokenizer: Any, batch: list[Conversation]) -> list[tuple[list[int], int]]:
    """Token ids of each conversation and the number of them that belong to its prompt."""
    heads = [tokenizer.apply_chat_template(c.prompt, add_generation_prompt=True, tokenize=False) for c in batch]
    tails = [c.response + tokenizer.eos_token for c in batch]
    prompts = tokenizer(heads, add_special_tokens=False)["input_ids"]
    responses = tokenizer(tails, add_special_tokens=False)["input_ids"]
    return [((p + r)[:MAX_TOKENS], len(p)) for p, r in zip(prompts, responses, strict=True)]


def curriculum(plan: Plan) -> Iterator[Conversation]:
    """The conversations of the training in order: fewer and fewer bare answers, then good and bad ones alike."""
    rng = random.Random(f"curriculum {plan.seed}")
    bare, ordinary = textbook(plan.seed, mix=plan.textbook_mix), conversations(plan.seed, mix=plan.mix)
    last = plan.textbook_until * plan.steps * plan.conversations_per_step
    for number in count():
        yield next(bare if rng.random() < plan.textbook_share * (1 - number / last) else ordinary)


def batches(tokenizer: Any, plan: Plan) -> Iterator[Step]:
    """The training batches in order: right-padded, each of similar lengths, their order shuffled by the seed."""
    stream, size = curriculum(plan), plan.conversations_per_step
    generator = torch.Generator().manual_seed(plan.seed)
    while True:
        rows = sorted(_encode(tokenizer, list(islice(stream, BUCKET * size))), key=lambda row: len(row[0]))
        for index in torch.randperm(BUCKET, generator=generator).tolist():
            yield _pad(rows[index * size : (index + 1) * size], tokenizer.pad_token_id)


def _pad(rows: list[tuple[list[int], int]], pad: int) -> Step:
    width = max(len(ids) for ids, _ in rows)
    ids = torch.full((len(rows), width), pad)
    targets = torch.full((len(rows), width), -100)
    for row, (tokens, prompt_length) in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        targets[row, prompt_length - 1 : len(tokens) - 1] = torch.tensor(tokens[prompt_length:])
    return Step(ids, targets)


def _loss(model: Any, step: Step) -> Tensor:
    """Mean cross-entropy of the answers' tokens, in nats. Padding is on the right, where causal attention hides it."""
    hidden = model.model(input_ids=step.ids, use_cache=False).last_hidden_state
    wanted = step.targets != -100
    return F.cross_entropy(model.lm_head(hidden[wanted]), step.targets[wanted])


def train(model: Any, tokenizer: Any, plan: Plan, report: Any = print) -> float:
    """Train in place; returns the mean loss of the last 50 steps."""
    decayed = [weight for weight in model.parameters() if weight.dim() > 1]
    plain = [weight for weight in model.parameters() if weight.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=plan.learning_rate, betas=(0.9, 0.98), fused=True)
    warmup = math.ceil(plan.warmup_share * plan.steps)
    losses: list[float] = []
    model.train()
    for number, step in enumerate(islice(batches(tokenizer, plan), plan.steps), start=1):
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate * _schedule(number, warmup, plan.steps)
        loss = _loss(model, step)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if number % 100 == 0:
            report(f"step {number}/{plan.steps}  loss {sum(losses[-50:]) / 50:.3f}")
    return sum(losses[-50:]) / len(losses[-50:])


def _schedule(number: int, warmup: int, steps: int) -> float:
    """The share of the highest learning rate at step `number` from 1: a linear warm-up, then a half cosine."""
    if number <= warmup:
        return number / warmup
    return 0.5 * (1 + math.cos(math.pi * (number - 1 - warmup) / max(1, steps - warmup)))


def make(plan: Plan, report: Any = print) -> tuple[Any, Any, float]:
    """A trained model, its tokenizer and its last loss; the same plan on the same machine gives the same weights."""
    torch.manual_seed(plan.seed)
    torch.set_num_threads(plan.threads)
    texts = (
        text
        for conversation in islice(conversations(plan.seed, mix=plan.mix), plan.tokenizer_texts)
        for text in (*(message["content"] for message in conversation.prompt), conversation.response)
    )
    tokenizer = train_tokenizer(texts)
    model = new_model(tokenizer)
    return model, tokenizer, train(model, tokenizer, plan, report)


def build(plan: Plan, folder: Path, report: Any = print) -> None:
    """Make the checkpoint in `folder`: weights as safetensors, tokenizer, and a card with measured figures."""
    started = time.monotonic()
    model, tokenizer, loss = make(plan, report)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    report(f"trained in {time.monotonic() - started:.0f} seconds; measuring")
    made = {
        "seed": plan.seed,
        "steps": plan.steps,
        "conversations": plan.steps * plan.conversations_per_step,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "vocabulary": len(tokenizer),
        "context": MAX_TOKENS,
        "loss": round(loss, 4),
    }
    card.write(folder, measure(folder, n=plan.prompts_measured), made)
    report(f"done in {time.monotonic() - started:.0f} seconds: {folder}")
