"""Intervals of numbers that are functions of sums over items: whole items drawn again and again, alike ones at once."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

FEWEST = 10  # below this many prompts, or items, a bootstrap is too narrow
ROUNDS = 1000
FEWEST_ROUNDS = 200
MOST_DRAWS = 20_000_000  # numbers drawn for one interval; above it there are fewer rounds, and the answer says how many
SEVERAL = 8  # with fewer items of a kind, drawing items one by one is quicker than drawing a number for each kind
HELD = 1_000_000  # numbers drawn that are held at once
MISSING = 0.05  # share of rounds that may come to nothing before their quantiles mean nothing
TOO_FEW = f"An interval needs {FEWEST} items that count."
NO_SPREAD = "All items are alike, so drawing them again shows no spread."
UNSTABLE = "In many of the samples drawn the number does not exist, so there is no interval."

Sums = NDArray[np.float64]
Formula = Callable[[Sums], NDArray[np.float64]]


class Spread(NamedTuple):
    """Bounds of a number, the rounds they were drawn in, and why there are none."""

    low: float | None
    high: float | None
    rounds: int
    reason: str | None


def rounds_for(kinds: int) -> int:
    """How many rounds are drawn where items are of so many kinds."""
    return max(FEWEST_ROUNDS, min(ROUNDS, MOST_DRAWS // max(kinds, 1)))


def resampled_sums(sums: Sums, items: NDArray[np.int64], seed: int) -> Sums:
    """Sums over as many items as there are, drawn with replacement: (rounds, sums).

    `sums` holds what one item of each kind adds, `items` how many there are of each. Items of a kind are drawn as one
    multinomial number, which is the ordinary bootstrap over items, exactly.
    """
    return drawn_sums(sums, items, rounds_for(len(items)), np.random.default_rng(seed))


def drawn_sums(sums: Sums | csr_array, items: NDArray[np.int64], rounds: int, generator: np.random.Generator) -> Sums:
    """The same, of so many rounds."""
    chunk = max(1, HELD // max(len(items), 1))
    parts = [draws(items, min(chunk, rounds - start), generator) @ sums for start in range(0, rounds, chunk)]
    return np.concatenate(parts)


def draws(items: NDArray[np.int64], rounds: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """How often each kind of item stands in each round, (rounds, kinds), where a kind has so many items."""
    total, kinds = int(items.sum()), len(items)
    if kinds * SEVERAL < total:
        return generator.multinomial(total, items / total, size=rounds).astype(np.float64)
    kind = np.repeat(np.arange(kinds), items)
    drawn = np.empty((rounds, kinds))
    for row in drawn:
        picks = generator.integers(total, size=total, dtype=np.int32)
        row[:] = np.bincount(picks if kinds == total else kind[picks], minlength=kinds)
    return drawn


def spread(drawn: NDArray[np.float64], counted: int, level: float) -> Spread:
    """The percentile interval of a number's values in all rounds (nan where it does not exist); `counted` items."""
    rounds = len(drawn)
    if counted < FEWEST:
        return Spread(None, None, rounds, TOO_FEW)
    there = drawn[np.isfinite(drawn)]
    if len(there) < (1 - MISSING) * rounds:
        return Spread(None, None, rounds, UNSTABLE)
    if np.ptp(there) < 1e-12:
        return Spread(None, None, rounds, NO_SPREAD)
    low, high = np.quantile(there, ((1 - level) / 2, (1 + level) / 2))
    return Spread(float(low), float(high), rounds, None)
