"""The order of examples, and how a batch is divided into packs that fit in memory."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from alignment.training.encode import Encoded

if TYPE_CHECKING:
    from alignment.objectives import Needs
    from alignment.training.spec import FullTuning, LoraTuning

AUTO_TOKENS_CPU = 384
AUTO_TOKENS_ACCELERATOR = 1536
AT_ONCE = 512  # examples that are divided into packs together, so a pack holds no more
LANES = 4
"""Packs that a CPU computes beside each other at most: each has activations of its own, and they share one Python."""
CHUNK_VALUES_CPU, CHUNK_ROWS_CPU = 2**20, 128
CHUNK_VALUES_ACCELERATOR, CHUNK_ROWS_ACCELERATOR = 2**26, 512


def order(examples: int, seed: int | str) -> Iterator[int]:
    """Indices without end: pass after pass, each shuffled anew, the same for the same seed."""
    epoch = 0
    while True:
        indices = list(range(examples))
        random.Random(f"{seed}/{epoch}").shuffle(indices)
        yield from indices
        epoch += 1


def packs(examples: Sequence[Encoded], tokens: int, *, shared: bool, lanes: int = 1) -> list[list[int]]:
    """Positions of the examples in groups of at most `tokens` computed tokens; a larger example is its own group.

    Shared, an example costs its prompt and its responses once.  Otherwise each response is a row with the prompt
    before it, and all rows of a group are as wide as the longest.  Within each `AT_ONCE` examples, which keeps long
    lists quick, the longest come first, so that what does not fit fails at once.  Where several `lanes` compute shared
    groups beside each other, groups are of like size, and where they fit as many that all lanes end together.
    """
    divide = partial(_balanced, lanes=lanes) if shared and lanes > 1 else _fitted if shared else _padded
    groups: list[list[int]] = []
    for start in range(0, len(examples), AT_ONCE):
        groups += divide(examples, range(start, min(start + AT_ONCE, len(examples))), tokens)
    return groups


def _fitted(examples: Sequence[Encoded], positions: Sequence[int], tokens: int) -> list[list[int]]:
    """First fit, longest first: within 11/9 of the fewest groups there could be."""
    groups: list[list[int]] = []
    room: list[int] = []
    for position in sorted(positions, key=lambda position: -examples[position].shared_tokens):
        size = examples[position].shared_tokens
        place = next((place for place, left in enumerate(room) if size <= left), None)
        if place is None:
            groups.append([position])
            room.append(tokens - size)
        else:
            groups[place].append(position)
            room[place] -= size
    return groups


def _balanced(examples: Sequence[Encoded], positions: Sequence[int], tokens: int, lanes: int) -> list[list[int]]:
    """The longest first, each to the group that has least, over the next number of groups that the lanes share evenly;
    as they are fitted where that would exceed the tokens."""
    fitted = _fitted(examples, positions, tokens)
    count = min(-(-len(fitted) // lanes) * lanes, len(positions))
    groups: list[list[int]] = [[] for _ in range(count)]
    sizes = [0] * count
    for position in sorted(positions, key=lambda position: -examples[position].shared_tokens):
        place = sizes.index(min(sizes))
        groups[place].append(position)
        sizes[place] += examples[position].shared_tokens
    most = max(tokens, *(examples[position].shared_tokens for position in positions))
    return groups if max(sizes) <= most else fitted


def _padded(examples: Sequence[Encoded], positions: Sequence[int], tokens: int) -> list[list[int]]:
    """Groups of like length, so that little is padding."""
    groups: list[list[int]] = []
    rows = width = 0
    for position in sorted(positions, key=lambda position: -examples[position].longest):
        example = examples[position]
        more = len(example.responses)
        if groups and width * (rows + more) <= tokens:
            groups[-1].append(position)
            rows += more
        else:
            rows, width = more, example.longest
            groups.append([position])
    return groups


def abreast(needs: Needs, tuning: FullTuning | LoraTuning) -> bool:
    """Whether packs may be computed beside each other.

    Not where anything is switched for the whole model while a pack is computed (adapters and anchors that stand aside,
    hooks that look inside), where tokenizers are asked, which threads are not to share, or where values are dropped
    out, which would draw their numbers in another order.
    """
    dropout = tuning.dropout if tuning.kind == "lora" else 0.0
    return not (needs.live or needs.own or needs.steps or needs.anchor or dropout)


def auto_tokens(device: str) -> int:
    """A pack size that suits the device: what its caches hold on a CPU, what keeps it busy on an accelerator."""
    return AUTO_TOKENS_CPU if device == "cpu" else AUTO_TOKENS_ACCELERATOR


def chunk_rows(device: str, vocabulary: int) -> int:
    """Positions projected to the vocabulary at once: few enough for the caches, enough to use the weights well."""
    cpu = device == "cpu"
    values, rows = (CHUNK_VALUES_CPU, CHUNK_ROWS_CPU) if cpu else (CHUNK_VALUES_ACCELERATOR, CHUNK_ROWS_ACCELERATOR)
    return max(rows, values // max(vocabulary, 1))
