"""A run as another trainer would record it: the plainest loop, which shares nothing with the engine that takes it
again."""

import json
import random
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.alignment.training.conftest import sentence

MOST, STEPS, SEED, RATE = 48, 6, 42, 1e-3


def lines(count: int = 18) -> list[dict[str, Any]]:
    """Dialogues whose prompt is what both begin with; some prompts fill the whole length, some answers go beyond it."""
    rng = random.Random(4)
    found = []
    for place in range(count):
        prompt = [{"role": "user", "content": sentence(rng, *((60, 70) if place % 6 == 0 else (2, 12)))}]
        answers = [[{"role": "assistant", "content": sentence(rng, 1, 25)}] for _ in range(2)]
        found.append({"chosen": prompt + answers[0], "rejected": prompt + answers[1], "score_chosen": 7.0})
    return found


def plainly(base: Path, data: Path) -> list[dict[str, float]]:
    """The same run the plainest way: padded batches, full logits, torch's own sampler, a second model as reference."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    rows: list[tuple[int, list[list[int]]]] = []

    def ids(text: Any) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    for line in data.read_text().splitlines():
        row = json.loads(line)
        prompt, *whole = (
            ids(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=len(messages) == 1))
            for messages in (row["chosen"][:1], row["chosen"], row["rejected"])
        )
        rows += [(len(prompt), [one[:MOST] for one in whole])] if len(prompt) < MOST else []
    model = AutoModelForCausalLM.from_pretrained(base)
    reference = AutoModelForCausalLM.from_pretrained(base)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / STEPS)
    generator, batches = torch.Generator(), []
    for epoch in range(9):
        sampler = torch.utils.data.RandomSampler(range(len(rows)), generator=generator.manual_seed(SEED + epoch))
        batches += list(torch.utils.data.BatchSampler(sampler, 8, drop_last=False))
    told = []
    for step, batch in enumerate(batches[:STEPS], start=1):
        some = [rows[index] for index in batch]
        with torch.no_grad():
            before = sums(reference, some)
        ratios = sums(model, some) - before
        loss = -torch.nn.functional.logsigmoid(0.1 * (ratios[:, 0] - ratios[:, 1])).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        told.append({"step": step, "loss": loss.item(), "grad_norm": norm.item()})
    return told


def sums(model: Any, some: list[tuple[int, list[list[int]]]]) -> Tensor:
    """Log-probabilities (pairs, 2) of the answers in one padded batch."""
    ids = [torch.tensor(one) for _, whole in some for one in whole]
    seen = torch.nn.utils.rnn.pad_sequence([torch.ones_like(one) for one in ids], batch_first=True)
    padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
    logps = model(padded, attention_mask=seen).logits[:, :-1].log_softmax(-1).gather(2, padded[:, 1:, None]).squeeze(2)
    starts = torch.tensor([start for start, whole in some for _ in whole])[:, None]
    places = torch.arange(1, padded.shape[1])[None]
    found: Tensor = (logps * (places >= starts) * seen[:, 1:]).sum(1).view(-1, 2)
    return found


def record(steps: list[dict[str, float]]) -> dict[str, Any]:
    return {
        "title": "A small stand-in",
        "model": {"path": "base"},
        "data": {"path": "pairs.jsonl"},
        "settings": {"learning_rate": RATE, "max_length": MOST, "seed": SEED, "steps": STEPS},
        "tolerance": {"loss": 1e-5, "grad_norm": 1e-4},
        "steps": steps,
    }
