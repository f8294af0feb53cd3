"""The order of examples, and how a batch is divided into packs that fit in memory."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from alignment.training.encode import Encoded

AUTO_TOKENS_CPU = 1024
AUTO_TOKENS_ACCELERATOR = 8192
AUTO_LOGITS = 2**27


def order(examples: int, seed: int | str) -> Iterator[int]:
    """Indices without end: pass after pass, each shuffled anew, the same for the same seed."""
    epoch = 0
    while True:
        indices = list(range(examples))
        random.Random(f"{seed}/{epoch}").shuffle(indices)
        yield from indices
        epoch += 1


def packs(examples: Sequence[Encoded], tokens: int) -> list[list[int]]:
    """Positions of the examples in groups of like length, whose padded size (two rows a pair) is at most `tokens`.

    A pair that alone is larger is a group of its own.  Longest first, so that what does not fit fails at once.
    """
    groups: list[list[int]] = []
    width = 0
    for index in sorted(range(len(examples)), key=lambda position: -examples[position].longest):
        if groups and 2 * width * (len(groups[-1]) + 1) <= tokens:
            groups[-1].append(index)
        else:
            width = examples[index].longest
            groups.append([index])
    return groups


def auto_tokens(device: str, vocabulary: int) -> int:
    """A pack size that suits the device: small on a CPU, where padding costs most; bounded by the logits' memory."""
    most = AUTO_TOKENS_CPU if device == "cpu" else AUTO_TOKENS_ACCELERATOR
    return max(256, min(most, AUTO_LOGITS // max(vocabulary, 1)))
