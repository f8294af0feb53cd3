"""Attention in rows that examples share, on this CPU: ours against one mask, and against each response by itself.

Forward and backward pass of the engine's benchmark model, with what DPO and its metrics ask for.  All three take turns;
the best of the rounds counts, as whatever else the machine does only adds to it.
"""

import os
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple
from unittest.mock import patch

from benchmarks.engine_work import VOCABULARY, llama
from benchmarks.figure import Figure

if TYPE_CHECKING:
    from alignment.training.encode import Encoded
    from alignment.training.scoring import Scoring

GOAL = 0.95  # times as fast as the faster of the other two: as fast, as near as it can be measured
TOKENS = 4000


class Lengths(NamedTuple):
    """Tokens of a prompt and of each response, about, and how many responses there are."""

    prompt: int
    response: int
    responses: int = 2


SOME = (
    *(Lengths(4, 2), Lengths(8, 4), Lengths(16, 8), Lengths(30, 20), Lengths(60, 40), Lengths(100, 60)),
    *(Lengths(200, 40), Lengths(250, 150), Lengths(40, 4, 8), Lengths(80, 50, 8)),
)


def measure() -> Iterable[Figure]:
    """How fast ours is against the faster of the other two, for examples of several lengths."""
    rounds = int(os.environ.get("PLUMBLINE_BENCH_ROUNDS", "5"))
    scoring = _scoring()
    for lengths in SOME:
        own, mask, single = _seconds(scoring, _made(lengths), rounds)
        ratio = min(mask, single) / own
        yield Figure(
            f"prompts of about {lengths.prompt} tokens, {lengths.responses} responses of {lengths.response}",
            ratio,
            "times as fast as the faster",
            f"at least {GOAL:g}",
            ratio >= GOAL,
            f"{own * 1e3:.0f} ms, one mask {mask * 1e3:.0f}, each by itself {single * 1e3:.0f}; best of {rounds}",
        )


def _scoring() -> "Scoring":
    """A run's on this machine, in as many lanes as it would have."""
    import torch

    from alignment.objectives.dpo import DPO
    from alignment.training.batches import LANES, auto_tokens
    from alignment.training.machine import share
    from alignment.training.ranks import Ranks
    from alignment.training.rows import arrange
    from alignment.training.scorer import Scorer
    from alignment.training.scoring import Scoring

    share()
    cpu, model = torch.device("cpu"), llama()
    rows, scorer = arrange(model, cpu), Scorer(model, "fp32")
    count = min(LANES, torch.get_num_threads())
    return Scoring(scorer, scorer, DPO(), rows, 0, auto_tokens("cpu"), Ranks(cpu), lanes=count, at_once=count)


def _made(lengths: Lengths) -> "list[Encoded]":
    """Random tokens, each part within half of its length, and so many examples that all do as much work."""
    from alignment.objectives.batch import Role
    from alignment.training.data import Example
    from alignment.training.encode import Encoded

    rng, example = random.Random(0), Example("", "train", [], ({},) * lengths.responses)

    def ids(about: int) -> list[int]:
        return [rng.randrange(2, VOCABULARY) for _ in range(max(1, round(about * rng.uniform(1 / 2, 3 / 2))))]

    count = TOKENS // (lengths.prompt + lengths.responses * lengths.response)
    return [
        Encoded(
            example,
            ids(lengths.prompt),
            tuple(ids(lengths.response) for _ in range(lengths.responses)),
            (Role.CANDIDATE,) * lengths.responses,
        )
        for _ in range(count)
    ]


def _seconds(scoring: "Scoring", examples: "Sequence[Encoded]", rounds: int) -> tuple[float, float, float]:
    """The best of each: as runs attend, under one mask, and each response by itself.  A first round is not counted."""
    from alignment.training import attention

    masks = replace(scoring, structure=replace(scoring.structure, way="masks"))
    own, mask, single = [], [], []
    for _ in range(rounds + 1):
        own.append(_once(scoring, examples))
        mask.append(_once(masks, examples))
        with patch.object(attention, "TOGETHER", 0):
            single.append(_once(scoring, examples))
    return min(own[1:]), min(mask[1:]), min(single[1:])


def _once(scoring: "Scoring", examples: "Sequence[Encoded]") -> float:
    """Seconds of a forward and a backward pass over the examples."""
    import torch

    def learn(pack: list[int]) -> None:
        torch.autograd.backward(scoring.scores([examples[place] for place in pack], scoring.asked).logps.sum())

    scoring.scorer.zero_grad(set_to_none=True)
    began = time.perf_counter()
    scoring.each(scoring.packs(examples), learn, lambda: None)
    return time.perf_counter() - began
