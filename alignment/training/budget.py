"""How many tokens a pack holds where the spec leaves it open: found by timing a few sizes on the run's own examples.

A size wins over the usual one only where it is clearly faster, and what was chosen is kept on disk by machine and
model, so that a run that is repeated packs alike: the order of its sums, and so its curve, stays the same to the bit.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from alignment.training import kept, room
from alignment.training.batches import packs
from alignment.training.machine import processor

if TYPE_CHECKING:
    from alignment.training.encode import Encoded
    from alignment.training.events import Events
    from alignment.training.folder import CheckpointFacts
    from alignment.training.scoring import Scoring
    from alignment.training.spec import Spec

SHARED_CPU, PLAIN_CPU = (256, 384, 512, 1024), (512, 1024, 2048, 4096)
ACCELERATOR = (1536, 3072, 6144, 12_288, 24_576)
CLEARLY = 1.1  # times as fast as the usual size, in every round
ROUNDS = 2
SECONDS = 8.0  # that all rounds together may take
WORTH = 0.02  # share of the run's tokens: more are not spent on finding out
FORM = 1
SUFFIX = ".tokens.json"


@dataclass(frozen=True)
class Found:
    """Tokens of a pack, why, and tokens a second of each size that was tried."""

    tokens: int
    why: str
    rates: dict[int, float]


def choose(
    spec: Spec,
    facts: CheckpointFacts,
    scoring: Scoring,
    examples: Sequence[Encoded],
    steps: int,
    events: Events,
    check: Callable[[], None],
    *,
    begun: bool,
) -> Scoring:
    """The scoring with the size of its packs decided, and an event that says which, why and what was tried.

    A run that has `begun` goes on with the size that it has.
    """
    if spec.batch.tokens_per_pack != "auto":
        found = Found(scoring.tokens, "as asked", {})
    elif begun:
        found = Found(scoring.tokens, "the size that the run has had", {})
    else:
        found = _found(spec, facts, scoring, examples, steps, check)
    tried = {str(tokens): round(rate, 1) for tokens, rate in found.rates.items()}
    told = f" (tokens/s by size: {', '.join(f'{size}: {rate:g}' for size, rate in tried.items())})" if tried else ""
    events.log(
        f"a pack holds at most {found.tokens} tokens: {found.why}{told}",
        tokens_per_pack=found.tokens,
        why=found.why,
        tried=tried,
    )
    return replace(scoring, tokens=found.tokens)


def _found(
    spec: Spec,
    facts: CheckpointFacts,
    scoring: Scoring,
    examples: Sequence[Encoded],
    steps: int,
    check: Callable[[], None],
) -> Found:
    usual = scoring.tokens
    folder = kept.place()
    if scoring.ranks.size > 1:
        return Found(usual, "the usual size, as several processes would not measure alike", {})
    if folder is None or not kept.usable(folder):
        return Found(usual, "the usual size, as there is no folder in which a measured one could be kept", {})
    some = _sample(scoring, examples, spec.batch.examples_per_step)
    sizes = [size for size in _sizes(scoring, some) if size <= usual or room.fits(spec, facts, scoring, examples, size)]
    path = folder / f"{_name(spec, facts, scoring, some)}{SUFFIX}"
    known = _read(path)
    if known in sizes:
        return Found(known, "the size that was fastest here before", {})
    tokens = sum(one.shared_tokens for one in some)
    whole = tokens / len(some) * spec.batch.examples_per_step * steps
    if len(sizes) * ROUNDS * tokens > WORTH * whole:
        return Found(usual, "the usual size, as the run is too short for trying others", {})
    found = _measured(scoring, some, sizes, check)
    if found.rates:
        _write(path, found.tokens)
    return found


def _sample(scoring: Scoring, examples: Sequence[Encoded], size: int) -> list[Encoded]:
    """Examples of one step at most, that fill several packs of the usual size."""
    some: list[Encoded] = []
    for one in examples[:size]:
        some.append(one)
        if sum(each.shared_tokens for each in some) >= 4 * scoring.tokens:
            break
    return some


def _sizes(scoring: Scoring, some: Sequence[Encoded]) -> list[int]:
    """The usual size, then those around it that divide the examples otherwise."""
    shared = scoring.structure.shared
    around = ACCELERATOR if scoring.device.type != "cpu" else SHARED_CPU if shared else PLAIN_CPU
    divided: dict[str, int] = {}
    for size in (scoring.tokens, *around):
        divided.setdefault(str(packs(some, size, shared=shared, lanes=scoring.lanes)), size)
    return list(divided.values())


def _measured(scoring: Scoring, some: list[Encoded], sizes: list[int], check: Callable[[], None]) -> Found:
    """The fastest of the sizes, in turns; the first, which is the usual one, where none is clearly faster."""
    usual, rates = sizes[0], dict.fromkeys(sizes, 0.0)
    tokens = sum(one.shared_tokens for one in some)
    gains = dict.fromkeys(sizes, math.inf)
    seconds = _seconds(scoring, some[:1], check)  # the first pass loads what later ones have
    seconds = _seconds(scoring, some[:1], check) * tokens / some[0].shared_tokens
    if seconds * len(sizes) * ROUNDS > SECONDS:
        return Found(usual, f"the usual size, as trying others would take more than {SECONDS:g} s", {})
    for _ in range(ROUNDS):
        took = {size: _seconds(replace(scoring, tokens=size), some, check) for size in sizes}
        for size in sizes:
            rates[size] = max(rates[size], tokens / took[size])
            gains[size] = min(gains[size], took[usual] / took[size])
    best = max(sizes, key=lambda size: gains[size])
    if gains[best] < CLEARLY:
        return Found(usual, f"the usual size, as no other was {CLEARLY - 1:.0%} faster", rates)
    return Found(best, f"{gains[best] - 1:.0%} faster than the usual {usual}", rates)


def _seconds(scoring: Scoring, some: list[Encoded], check: Callable[[], None]) -> float:
    """How long the examples take, forwards and backwards; no gradient is left behind."""

    def learn(pack: list[int]) -> None:
        torch.autograd.backward(scoring.scores([some[index] for index in pack], scoring.asked).logps.sum())

    began = time.perf_counter()
    scoring.each(scoring.packs(some), learn, check)
    if scoring.device.type == "cuda":
        torch.cuda.synchronize(scoring.device)
    took = time.perf_counter() - began
    scoring.scorer.zero_grad(set_to_none=True)
    return took


def _name(spec: Spec, facts: CheckpointFacts, scoring: Scoring, some: Sequence[Encoded]) -> str:
    """A hash of all that decides which size is fastest: machine, model, settings and, roughly, lengths."""
    mean = sum(one.shared_tokens for one in some) / len(some)
    told = [
        FORM,
        processor(scoring.device),
        torch.get_num_threads(),
        version("torch"),
        version("transformers"),
        [facts.architecture, facts.layers, facts.hidden, facts.vocabulary, facts.parameters],
        spec.tuning.model_dump(mode="json"),
        spec.precision,
        scoring.structure.shared,
        scoring.lanes,
        scoring.tokens,
        sorted(scoring.objective.needs.live),
        round(math.log2(mean)),
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _read(path: Path) -> int | None:
    """The size that is kept; None where there is none, or a damaged one."""
    try:
        os.utime(path)  # used: it stays
        found = json.loads(path.read_text(encoding="utf-8"))["tokens_per_pack"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, int) else None


def _write(path: Path, tokens: int) -> None:
    """Keep a size; where the disk is full it is found anew another time."""
    partial = path.with_name(f"{path.name}.{os.getpid()}{kept.PARTIAL}")
    with suppress(OSError):
        partial.write_text(json.dumps({"tokens_per_pack": tokens}), encoding="utf-8")
        partial.replace(path)
    partial.unlink(missing_ok=True)
