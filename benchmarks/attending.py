"""Forward and backward passes of rows that examples share, on this CPU: attending as runs do, by one mask, by parts.

python -m benchmarks.run attending

The model and pack size of the engine's benchmarks, with what DPO and its metrics ask for.  All three take turns in one
process; the best of the rounds counts, as whatever else the machine does only adds to it.  `PLUMBLINE_BENCH_ROUNDS`
sets how many.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple
from unittest.mock import patch

from benchmarks.engine_work import llama, made
from benchmarks.figure import Figure

if TYPE_CHECKING:
    from alignment.training.encode import Encoded
    from alignment.training.scoring import Scoring

GOAL = 0.95  # of the faster one's speed: 5 % for what measurements differ by
TOKENS = 4000


class Lengths(NamedTuple):
    """Tokens of a prompt and of each response, about, and how many responses there are."""

    prompt: int
    response: int
    responses: int = 2


class Seconds(NamedTuple):
    """Of the best round: as runs attend, under one mask, and each prompt and each response by itself."""

    own: float
    mask: float
    parts: float


SOME = (
    *(Lengths(4, 2), Lengths(8, 4), Lengths(16, 8), Lengths(30, 20), Lengths(60, 40), Lengths(100, 60)),
    *(Lengths(200, 40), Lengths(250, 150), Lengths(40, 4, 8), Lengths(80, 50, 8)),
)


def measure() -> Iterable[Figure]:
    """How fast ours is against the faster of the other two, for examples of several lengths."""
    rounds = os.environ.get("PLUMBLINE_BENCH_ROUNDS", "5")
    command = [sys.executable, "-m", "benchmarks.attending", rounds]  # a process that shares the machine as a run does
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    for lengths, taken in zip(SOME, json.loads(done.stdout.splitlines()[-1]), strict=True):
        seconds = Seconds(*taken)
        ratio = min(seconds.mask, seconds.parts) / seconds.own
        yield Figure(
            f"prompts of about {lengths.prompt} tokens, {lengths.responses} responses of {lengths.response}",
            ratio,
            "times as fast as the faster",
            f"at least {GOAL:g}",
            ratio >= GOAL,
            f"{seconds.own * 1e3:.0f} ms; one mask {seconds.mask * 1e3:.0f}, parts {seconds.parts * 1e3:.0f};"
            f" best of {rounds}",
        )


def main() -> None:
    """Print the seconds of each of `SOME` as JSON; the command line says how many rounds count."""
    from alignment.training.machine import share

    share()  # before torch is there
    scoring = _scoring()
    print(json.dumps([_seconds(scoring, _examples(lengths), int(sys.argv[1])) for lengths in SOME]))


def _scoring() -> "Scoring":
    """In as many lanes as a run would have here."""
    import torch

    from alignment.objectives.dpo import DPO
    from alignment.training.batches import LANES, auto_tokens
    from alignment.training.ranks import Ranks
    from alignment.training.rows import arrange
    from alignment.training.scorer import Scorer
    from alignment.training.scoring import Scoring

    cpu, model = torch.device("cpu"), llama()
    rows, scorer = arrange(model, cpu), Scorer(model, "fp32")
    count = min(LANES, torch.get_num_threads())
    return Scoring(scorer, scorer, DPO(), rows, 0, auto_tokens("cpu"), Ranks(cpu), lanes=count, at_once=count)


def _examples(lengths: Lengths) -> "list[Encoded]":
    """About `TOKENS` random tokens in all, each part within a third of its length."""
    from benchmarks.engine_ours import encoded

    sizes = (lengths.prompt, *(lengths.response,) * lengths.responses)
    rng = random.Random(0)
    return encoded([made(rng, sizes) for _ in range(TOKENS // sum(sizes))])


def _seconds(scoring: "Scoring", examples: "Sequence[Encoded]", rounds: int) -> Seconds:
    """The best of the rounds after a first one, which warms up."""
    from alignment.training import attention

    masks = replace(scoring, structure=replace(scoring.structure, way="masks"))
    seen = []
    for _ in range(rounds + 1):
        own, mask = _once(scoring, examples), _once(masks, examples)
        with patch.object(attention, "TOGETHER", 0):
            seen.append(Seconds(own, mask, _once(scoring, examples)))
    return Seconds(*map(min, zip(*seen[1:], strict=True)))


def _once(scoring: "Scoring", examples: "Sequence[Encoded]") -> float:
    """Seconds of a forward and a backward pass over the examples."""
    import torch

    def learn(pack: list[int]) -> None:
        torch.autograd.backward(scoring.scores([examples[place] for place in pack], scoring.asked).logps.sum())

    scoring.scorer.zero_grad(set_to_none=True)
    began = time.perf_counter()
    scoring.each(scoring.packs(examples), learn, lambda: None)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
