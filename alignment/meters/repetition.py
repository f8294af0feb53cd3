"""How far an answer repeats itself, and whether it ends in a loop."""

import numpy as np

from alignment.meters.jackknife import Value, mean
from alignment.meters.texts import Ints, Texts

RUN = 4
LONGEST_BLOCK = 50
TIMES = 3
FEWEST_WORDS = 12


def repetition(texts: Texts) -> Value:
    """The share of an answer's runs of four words that stood in it before (Welleck et al. 2020, arXiv 1908.04319).

    Averaged over answers; one of fewer than four words repeats nothing.
    """
    grams = texts.grams(RUN)
    answers = len(texts.lengths)
    total = np.bincount(grams.answers, minlength=answers)
    different = np.bincount(
        np.unique(grams.answers * max(1, grams.kinds) + grams.ids) // max(1, grams.kinds), minlength=answers
    )
    share = 1 - np.divide(different, total, out=np.ones(answers), where=total > 0)
    return mean(share, texts.cluster, texts.prompts, most=1.0)


def loops(texts: Texts) -> Value:
    """The share of answers that end in a loop."""
    found = [float(ends_in_loop(texts.words(answer))) for answer in range(len(texts.lengths))]
    return mean(np.array(found, dtype=np.float64), texts.cluster, texts.prompts, most=1.0)


def ends_in_loop(words: Ints) -> bool:
    """Whether the last words are a block of at most 50 words three times over, and twelve words or more."""
    for block in range(1, min(LONGEST_BLOCK, len(words) // TIMES) + 1):
        span = max(TIMES * block, FEWEST_WORDS)
        if span <= len(words) and bool((words[len(words) - span : -block] == words[len(words) - span + block :]).all()):
            return True
    return False
