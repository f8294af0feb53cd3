"""Generation: eight samples for each prompt, against transformers' own batched `generate`, each side at its best.

python -m benchmarks.run generation

A Llama of nine million parameters with random weights; its distributions are about as peaked as a trained model's, and
one token in a hundred ends an answer.  transformers gets prompts of like length together, and the number of prompts in
a call and the kind of cache that were fastest in a search; ours is measured as it comes.  The sides take turns, round
after round, in one process on one thread, in processor time, so that what else the machine does costs neither of them.
`PLUMBLINE_BENCH_ROUNDS` sets how often.
"""

import os
import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from benchmarks.figure import Figure

VOCABULARY = 8192
SAMPLES = 8
ENDS = frozenset(range(3, 3 + VOCABULARY // 100))
GOAL = 1.5
TRIED = ((1, None), (2, None), (4, None), (2, "static"), (4, "static"), (8, "static"))
SEARCHED = 8  # prompts that the search is made with
Prompts = list[list[int]]


class Work(NamedTuple):
    """Prompts of so many tokens, and how their answers are drawn."""

    name: str
    shortest: int
    longest: int
    prompts: int
    new: int
    top_p: float = 1.0
    ends: bool = True


WORKS = (
    Work("prompts of 40 to 400 tokens", 40, 400, 16, 64),
    Work("prompts of 40 to 400 tokens, top_p 0.95", 40, 400, 16, 64, top_p=0.95),
    Work("prompts of 40 to 400 tokens, all answers of 64 tokens", 40, 400, 16, 64, ends=False),
    Work("prompts of 800 to 1,600 tokens", 800, 1600, 4, 64),
)


def measure() -> Iterable[Figure]:
    """Figures of every work, as they are found."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rounds = int(os.environ.get("PLUMBLINE_BENCH_ROUNDS", "3"))
    try:
        for work in WORKS:
            yield from _figures(work, rounds)
    finally:
        torch.set_num_threads(threads)


def _figures(work: Work, rounds: int) -> Iterable[Figure]:
    rng = random.Random(0)
    prompts = [
        [rng.randrange(200, VOCABULARY) for _ in range(rng.randint(work.shortest, work.longest))]
        for _ in range(work.prompts)
    ]
    prompts.sort(key=len, reverse=True)
    ends = sorted(ENDS) if work.ends else [VOCABULARY - 1]
    model, other = _model(), _model()
    few = prompts[:: max(1, len(prompts) // SEARCHED)]
    best = max(TRIED, key=lambda setting: _rate(lambda: _theirs(other, few, work, ends, *setting)))
    own, rival = [], []
    for _ in range(rounds):
        own.append(_rate(lambda: _ours(model, prompts, work, ends)))
        rival.append(_rate(lambda: _theirs(other, prompts, work, ends, *best)))
    ratios = [one / two for one, two in zip(own, rival, strict=True)]
    told = f"{work.prompts} prompts, {SAMPLES} samples each, {rounds} rounds, one thread, processor time"
    setting = f"{best[0]} prompts a call, {best[1] or 'growing'} cache"
    yield Figure(f"{work.name}: Plumbline", statistics.median(own), "tokens/s", note=told)
    yield Figure(
        f"{work.name}: transformers", statistics.median(rival), "tokens/s", note=f"best of its search: {setting}"
    )
    ratio = statistics.median(ratios)
    spread = f"{min(ratios):.3g} to {max(ratios):.3g}"
    yield Figure(f"{work.name}: against transformers", ratio, "times", f"at least {GOAL} times", ratio >= GOAL, spread)


def _model() -> Any:
    """A Llama of nine million parameters, sharpened so that a few tokens hold most of the probability."""
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
    )
    model: Any = LlamaForCausalLM(config)
    model.eval()
    with torch.no_grad():
        model.model.norm.weight.mul_(8)
    return model


def _rate(answer: Callable[[], int]) -> float:
    """Tokens answered in a second of processor time."""
    began = time.process_time()
    tokens = answer()
    return tokens / (time.process_time() - began)


def _ours(model: Any, prompts: Prompts, work: Work, ends: Sequence[int]) -> int:
    import torch

    from alignment.generation.rows import Row, room_for, together
    from alignment.generation.shared import Shared
    from alignment.sampling import Sampling
    from alignment.training import attention, structure

    attention.use(model)
    found = structure.of(model.config, model.config._attn_implementation)
    sampling = Sampling(temperature=0.7, top_p=work.top_p, max_new_tokens=work.new)
    rows = [
        Row(prompt, 0, work.new, torch.rand(work.new, dtype=torch.float64).numpy())
        for prompt in prompts
        for _ in range(SAMPLES)
    ]
    room = room_for(model)
    for _ in Shared(model, found, frozenset(ends), sampling).answer(together(rows, room.rows), room):
        pass
    return sum(len(row.produced) for row in rows)


def _theirs(model: Any, prompts: Prompts, work: Work, ends: Sequence[int], at_once: int, cache: str | None) -> int:
    import torch

    tokens = 0
    for start in range(0, len(prompts), at_once):
        some = prompts[start : start + at_once]
        width = max(len(prompt) for prompt in some)
        out = model.generate(
            torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in some]),
            attention_mask=torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in some]),
            num_return_sequences=SAMPLES,
            do_sample=True,
            temperature=0.7,
            top_p=work.top_p,
            top_k=0,
            max_new_tokens=work.new,
            eos_token_id=list(ends),
            pad_token_id=0,
            **({} if cache is None else {"cache_implementation": cache}),
        )
        tokens += int((out[:, width:] != 0).sum())
    return tokens
