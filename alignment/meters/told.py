"""All meters by name, in the order in which they are shown."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from alignment.meters.bleu import self_bleu
from alignment.meters.jackknife import Value, mean
from alignment.meters.repetition import loops, repetition
from alignment.meters.texts import Texts
from alignment.meters.variety import distinct, ead, entropy

METERS: Mapping[str, Callable[[Texts], Value]] = {
    "words": lambda texts: mean(texts.lengths.astype(np.float64), texts.cluster, texts.prompts),
    "distinct_1": lambda texts: distinct(texts, 1),
    "distinct_2": lambda texts: distinct(texts, 2),
    "distinct_3": lambda texts: distinct(texts, 3),
    "ead": ead,
    "self_bleu": self_bleu,
    "repetition": repetition,
    "loops": loops,
    "entropy": entropy,
}


def values(prompts: Sequence[str], answers: Sequence[str], tokens: Sequence[int | None]) -> dict[str, Value]:
    """What every meter says of the answers, each to one of `prompts` (may repeat); `tokens` where all are known."""
    texts = Texts(prompts, answers)
    known = np.array([math.nan if one is None else one for one in tokens], dtype=np.float64)
    length = mean(known, texts.cluster, texts.prompts)
    return {"tokens": length} | {name: meter(texts) for name, meter in METERS.items()}
