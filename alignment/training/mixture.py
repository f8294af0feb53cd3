"""The order in which examples of several sources are drawn, when each has a weight."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice

from alignment.training.batches import order as passes


def order(sizes: Sequence[int], weights: Sequence[float] | None, seed: int) -> Iterator[int]:
    """Indices without end into the examples of all sources, one source after another; the same for the same seed.

    Without weights an epoch is every example once. With weights it has as many draws, and a source's share of them is
    expected to be its share of the weights: in each epoch it is drawn that often, rounded up or down by chance. Within
    a source, examples are drawn pass after pass, each shuffled anew and going on where the last epoch stopped, so
    that all of its examples are seen equally often, give or take one.
    """
    if weights is None:
        yield from passes(sum(sizes), seed)
        return
    starts = [0, *accumulate(sizes)]
    sources = [passes(size, f"{seed}/source {place}") for place, size in enumerate(sizes)]
    epoch = 0
    while True:
        chance = random.Random(f"{seed}/mixture/{epoch}")
        drawn = [
            starts[place] + index
            for place, count in enumerate(draws(sum(sizes), weights, chance.random()))
            for index in islice(sources[place], count)
        ]
        chance.shuffle(drawn)
        yield from drawn
        epoch += 1


def draws(total: int, weights: Sequence[float], chance: float) -> list[int]:
    """How often each source is drawn among `total` draws: its share rounded up or down, as `chance` (uniform from 0 to
    1) has it, so that the expectation is the share itself and the sum is `total` (systematic sampling)."""
    whole = sum(weights)
    bounds = [int(total * (reached / whole) + chance) for reached in accumulate(weights)]
    bounds[-1] = total
    return [upper - lower for lower, upper in zip([0, *bounds], bounds, strict=False)]


def shares(weights: Sequence[float]) -> list[float]:
    """Each weight's share of their sum."""
    whole = sum(weights)
    return [weight / whole for weight in weights]


def weights_of(given: Sequence[float | None]) -> list[float] | None:
    """The weights of the sources, or None where none has one; a spec has all or none."""
    found = [weight for weight in given if weight is not None]
    return found if found and len(given) > 1 else None
