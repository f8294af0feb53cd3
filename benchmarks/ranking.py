"""Rankings: 50 contestants, 100,000 matches, 1,000 rounds of the bootstrap; against a logistic fit for each round."""

import time
from collections.abc import Iterable

import numpy as np

from alignment.statistics.ranking import Met, rank
from benchmarks.figure import Figure

CONTESTANTS, MATCHES, ROUNDS = 50, 100_000, 1_000
SECONDS = 3.0
OTHERS = 4
"""Rounds that the other way is timed over; a thousand of them would take minutes."""


def measure() -> Iterable[Figure]:
    """Strengths with intervals: seconds by how many matches share a prompt, and as a ratio to a fit for each round."""
    for prompts in (MATCHES, 10_000, 500):
        met = _matches(prompts)
        started = time.perf_counter()
        found = rank(met, CONTESTANTS, rounds=ROUNDS)
        seconds = time.perf_counter() - started
        name = f"{found.n:,} matches on {found.prompts:,} prompts, {ROUNDS:,} rounds"
        yield Figure(name, seconds, "s", f"at most {SECONDS:.0f} s", seconds <= SECONDS)
    met = _matches(MATCHES)
    ours, theirs = [], []
    for _ in range(3):
        started = time.perf_counter()
        rank(met, CONTESTANTS, rounds=ROUNDS)
        ours.append((time.perf_counter() - started) / ROUNDS)
        started = time.perf_counter()
        for seed in range(OTHERS):
            _logistic(met, seed)
        theirs.append((time.perf_counter() - started) / OTHERS)
    note = f"scikit-learn, {OTHERS} rounds: {1e3 * min(theirs):.0f} ms each; here {1e3 * min(ours):.2f} ms"
    yield Figure("quicker than a logistic fit for each round", min(theirs) / min(ours), "x", note=note)


def _matches(prompts: int) -> Met:
    generator = np.random.default_rng(0)
    strength = generator.normal(scale=0.7, size=CONTESTANTS)
    first = generator.integers(CONTESTANTS, size=MATCHES)
    second = (first + 1 + generator.integers(CONTESTANTS - 1, size=MATCHES)) % CONTESTANTS
    won = generator.random(MATCHES) < 1 / (1 + np.exp(strength[second] - strength[first]))
    score = np.where(generator.random(MATCHES) < 0.15, 0.5, won)
    return Met(generator.integers(prompts, size=MATCHES), first, second, score)


def _logistic(met: Met, seed: int) -> None:
    """One round as it is often done: matches drawn anew, and a logistic regression on a row for each of them."""
    from sklearn.linear_model import LogisticRegression

    picks = np.random.default_rng(seed).integers(MATCHES, size=MATCHES)
    rows = np.arange(2 * MATCHES)
    features = np.zeros((2 * MATCHES, CONTESTANTS))
    features[rows, np.tile(met.first[picks], 2)] = 1.0
    features[rows, np.tile(met.second[picks], 2)] = -1.0
    score = met.score[picks]
    model = LogisticRegression(fit_intercept=False, C=np.inf, tol=1e-6)
    model.fit(features, np.repeat([1, 0], MATCHES), sample_weight=np.concatenate([score, 1 - score]))
