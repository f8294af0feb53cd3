"""BLEU (Papineni et al. 2002) of an answer against others, and self-BLEU of many at once."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from alignment.meters.jackknife import Floats, Value, ratio
from alignment.meters.texts import Ints, Texts

ORDERS = 4
ROWS_AT_ONCE = 256


def bleu(candidate: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """The geometric mean of clipped precisions of 1 to 4 words, times the brevity penalty; without smoothing.

    A candidate of fewer than four words has as many orders as it has words; nan where it has none.
    """
    if not candidate or not references:
        return math.nan
    logs = []
    for n in range(1, min(ORDERS, len(candidate)) + 1):
        own = _counts(candidate, n)
        most: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            most |= _counts(reference, n)
        clipped = sum(min(count, most[gram]) for gram, count in own.items())
        if not clipped:
            return 0.0
        logs.append(math.log(clipped / sum(own.values())))
    nearest = min((abs(len(one) - len(candidate)), len(one)) for one in references)[1]
    return math.exp(sum(logs) / len(logs) + min(0.0, 1 - nearest / len(candidate)))


def _counts(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[start : start + n]) for start in range(len(words) - n + 1))


def self_bleu(texts: Texts) -> Value:
    """The mean BLEU of each answer against the answers to all other prompts (Zhu et al. 2018, arXiv 1802.01886).

    1 where all are the same, 0 where no two share a word; answers without a word are left out. In linear time: of each
    run of words the three prompts that hold it most often say what clips it, and what would without one of them. What
    lengths remain without a prompt is left aside: its effect on the brevity penalty is small.
    """
    there = texts.lengths > 0
    if texts.prompts < 2 or not there.any():
        return Value(math.nan, np.full(texts.prompts, np.nan), int(there.sum()), 0.0, 1.0)
    orders = [_clipped(texts, n) for n in range(1, ORDERS + 1)]
    clipped = np.stack([one.clipped for one in orders], axis=1)
    penalty = _penalty(texts)
    scores = _scores(clipped, texts.lengths, penalty)
    keys, place = np.unique(np.concatenate([one.keys for one in orders]), return_inverse=True)
    lost = np.zeros((len(keys), ORDERS))
    order = np.repeat(np.arange(ORDERS), [len(one.keys) for one in orders])
    np.add.at(lost, (place, order), np.concatenate([one.lost for one in orders]))
    answer, prompt = np.divmod(keys, texts.prompts)
    less = _scores(clipped[answer] - lost, texts.lengths[answer], penalty[answer]) - scores[answer]
    change = np.bincount(prompt, weights=less, minlength=texts.prompts)
    own = np.bincount(texts.cluster, weights=scores, minlength=texts.prompts)
    left = int(there.sum()) - np.bincount(texts.cluster[there], minlength=texts.prompts)
    total = float(scores.sum())
    without = ratio(np.asarray(total - own + change, dtype=np.float64), left)
    return Value(total / int(there.sum()), without, int(there.sum()), 0.0, 1.0)


class Clipped(NamedTuple):
    """Of runs of one length: those of each answer that others have too (A,), and what of it hangs on one prompt alone.

    `lost` go from answer `key // prompts` when the prompt `key % prompts` is left out.
    """

    clipped: Floats
    keys: Ints
    lost: Floats


def _clipped(texts: Texts, n: int) -> Clipped:
    grams = texts.grams(n)
    kinds = max(1, grams.kinds)
    pairs, count = np.unique(grams.answers * kinds + grams.ids, return_counts=True)
    answer, gram = np.divmod(pairs, kinds)
    prompt = texts.cluster[answer]
    most, holder = _three(gram, prompt, count, kinds)
    rows = np.arange(len(gram))
    others = (holder[gram] != prompt[:, None]) & (holder[gram] >= 0)  # (pairs, 3), best first
    first = others.argmax(axis=1)
    best = np.where(others.any(axis=1), most[gram, first], 0)
    others[rows, first] = False
    next_best = np.where(others.any(axis=1), most[gram, others.argmax(axis=1)], 0)
    clipped = np.minimum(count, best)
    lost = clipped - np.minimum(count, next_best)
    hangs = lost > 0
    keys = answer[hangs] * texts.prompts + holder[gram, first][hangs]
    sums = np.bincount(answer, weights=clipped, minlength=len(texts.lengths)).astype(np.float64)
    return Clipped(sums, keys, lost[hangs].astype(np.float64))


def _three(gram: Ints, prompt: Ints, count: Ints, kinds: int) -> tuple[Ints, Ints]:
    """For each run the three prompts with most of it in one answer: how many, and which (-1 for none), (kinds, 3)."""
    order = np.lexsort((-count, prompt, gram))
    gram, prompt, count = gram[order], prompt[order], count[order]
    fresh = np.ones(len(gram), dtype=bool)
    fresh[1:] = (gram[1:] != gram[:-1]) | (prompt[1:] != prompt[:-1])
    gram, prompt, count = gram[fresh], prompt[fresh], count[fresh]
    order = np.lexsort((prompt, -count, gram))
    gram, prompt, count = gram[order], prompt[order], count[order]
    begins = np.searchsorted(gram, gram)
    place = np.arange(len(gram)) - begins
    most, holder = np.zeros((kinds, 3), dtype=np.int64), np.full((kinds, 3), -1, dtype=np.int64)
    kept = place < 3
    most[gram[kept], place[kept]] = count[kept]
    holder[gram[kept], place[kept]] = prompt[kept]
    return most, holder


def _scores(clipped: Floats, lengths: Ints, penalty: Floats) -> Floats:
    """BLEU (A,) from clipped counts (A, orders), numbers of words and penalties; 0 for no words."""
    total = lengths[:, None] - np.arange(ORDERS)
    used = total > 0
    whole = (clipped > 0) | ~used
    logs = np.log(np.where(used & (clipped > 0), clipped, 1) / np.where(used & (clipped > 0), total, 1))
    found = np.exp(logs.sum(axis=1) / np.maximum(1, used.sum(axis=1))) * penalty
    return np.asarray(np.where(whole.all(axis=1) & (lengths > 0), found, 0.0), dtype=np.float64)


def _penalty(texts: Texts) -> Floats:
    """The brevity penalty of each answer: how far it falls short of the nearest length among other prompts' answers."""
    lengths, cluster = texts.lengths, texts.cluster
    found = np.ones(len(lengths))
    for start in range(0, len(lengths), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        # Nearest first, the shorter of two that are equally near: 2 |gap| is even, a longer one takes one more.
        gap = 2 * np.abs(lengths[rows, None] - lengths[None]) + (lengths[None] > lengths[rows, None])
        gap = np.where((cluster[rows, None] == cluster[None]) | (lengths[None] == 0), np.iinfo(np.int64).max, gap)
        nearest = lengths[gap.argmin(axis=1)]
        own = np.maximum(lengths[rows], 1)
        found[rows] = np.exp(np.minimum(0.0, 1 - nearest / own))
    return found
