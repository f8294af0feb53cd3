"""How varied answers are together: different runs of words, what chance would make of them, and the words' entropy."""

import math

import numpy as np

from alignment.meters.jackknife import Floats, Value, ratio
from alignment.meters.texts import Grams, Texts

VOCABULARY = 50_000
"""Words that a language is taken to have, in `ead`: about as many as a model's vocabulary has entries."""
LONGEST = 5


def distinct(texts: Texts, n: int) -> Value:
    """Different runs of `n` words by all runs (Li et al. 2016, arXiv 1510.03055). Longer texts have less of them."""
    kinds, total = _kinds(texts, n), _total(texts, n)
    return Value(
        float(kinds[0] / total[0]) if total[0] else math.nan, ratio(kinds[1:], total[1:]), len(texts.lengths), 0.0, 1.0
    )


def ead(texts: Texts, vocabulary: int = VOCABULARY) -> Value:
    """Different runs of words by those that as many drawn evenly would give, averaged over n from 1 to 5.

    Expectation-adjusted distinct-n (Liu et al. 2022, arXiv 2202.13587): `D / (V (1 - (1 - 1 / V)^C))`, where
    `vocabulary` words make V = vocabulary^n runs; over those n that any answer is long enough for.
    """
    each = []
    for n in range(1, LONGEST + 1):
        expected = expected_kinds(_total(texts, n), float(vocabulary) ** n)
        each.append(ratio(_kinds(texts, n), expected))
    found = ratio(np.nansum(each, axis=0), np.isfinite(each).sum(axis=0))
    return Value(float(found[0]), found[1:], len(texts.lengths), 0.0)


def expected_kinds(drawn: Floats, vocabulary: float) -> Floats:
    """How many kinds are seen, on average, when so many are drawn from `vocabulary` equally probable ones."""
    return np.asarray(-vocabulary * np.expm1(drawn * np.log1p(-1 / vocabulary)), dtype=np.float64)


def entropy(texts: Texts) -> Value:
    """Bits a word, of the words' frequencies over all answers: `log2 N - (1 / N) sum_w n_w log2 n_w`."""
    grams = texts.grams(1)
    if not len(grams.ids):
        return Value(math.nan, np.full(texts.prompts, np.nan), len(texts.lengths))
    counts = np.bincount(grams.ids, minlength=grams.kinds).astype(np.float64)
    pairs, own = np.unique(_by_prompt(texts, grams), return_counts=True)
    prompt, word = np.divmod(pairs, grams.kinds)
    left = counts[word] - own
    change = np.bincount(prompt, weights=_weighed(left) - _weighed(counts[word]), minlength=texts.prompts)
    total = _total(texts, 1)
    inner = np.concatenate([[0.0], change]) + _weighed(counts).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log2(total) - inner / total
    return Value(float(found[0]), found[1:], len(texts.lengths), 0.0)


def _weighed(counts: Floats) -> Floats:
    return np.asarray(counts * np.log2(np.maximum(counts, 1)), dtype=np.float64)


def _kinds(texts: Texts, n: int) -> Floats:
    """How many different runs there are in all, then without each prompt: (1 + prompts,)."""
    grams = texts.grams(n)
    pairs = np.unique(_by_prompt(texts, grams))
    prompt, gram = np.divmod(pairs, max(1, grams.kinds))
    alone = np.bincount(gram, minlength=grams.kinds)[gram] == 1
    only = np.bincount(prompt[alone], minlength=texts.prompts)
    return np.concatenate([[grams.kinds], grams.kinds - only]).astype(np.float64)


def _total(texts: Texts, n: int) -> Floats:
    """How many runs there are in all, then without each prompt: (1 + prompts,)."""
    grams = texts.grams(n)
    own = np.bincount(texts.cluster[grams.answers], minlength=texts.prompts)
    return np.concatenate([[len(grams.ids)], len(grams.ids) - own]).astype(np.float64)


def _by_prompt(texts: Texts, grams: Grams) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """A number for each run's prompt and id together."""
    return np.asarray(texts.cluster[grams.answers] * max(1, grams.kinds) + grams.ids, dtype=np.int64)
