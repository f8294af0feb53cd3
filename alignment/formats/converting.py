"""A dataset's items made into items of another kind, one after the other: what comes of them, and what does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from alignment.formats.canonical import Item
from alignment.formats.conversion import Conversion
from alignment.formats.writing import UNDECIDED

LEFT: Final = {
    **UNDECIDED,
    "unordered": "have neither ranks nor scores",
    "one_rank": "have no answer that is better than another",
    "too_close": "have no answers that are far enough apart",
    "no_scores": "have no scores",
    "unwanted": "are not wanted",
    "no_thumb": "do not say whether they are wanted",
    "no_partner": "have no answer of the other side to the same prompt",
    "alone": "are the only answer to their prompt",
}
"""Why an item gives nothing, in words that follow “3 of 120 items”."""


@dataclass
class Counted:
    """How many items were looked at, how many came of them, and which of those give nothing or a double, by LEFT."""

    items: int = 0
    made: int = 0
    left: Counter[str] = field(default_factory=Counter)
    doubled: int = 0

    def sentences(self) -> list[str]:
        """What is left out, in words, the most frequent first."""
        said = [
            f"{count:,} of {self.items:,} items {LEFT[why]}; left out."
            for why, count in self.left.most_common()
            if count
        ]
        return [*said, f"{self.doubled:,} are the same as another; left out."] if self.doubled else said


def convert(items: Iterable[Item], conversion: Conversion, counted: Counted) -> Iterator[Item]:
    """What comes of all items, each content once, counted on the way.

    Where the conversion is `GROUPED`, items of one prompt follow each other.
    """
    seen: set[str] = set()
    for group in _groups(items, grouped=conversion.GROUPED):
        counted.items += len(group)
        for made in conversion.turned(group, counted.left):
            if made.content_hash in seen:
                counted.doubled += 1
                continue
            seen.add(made.content_hash)
            counted.made += 1
            yield made


def _groups(items: Iterable[Item], *, grouped: bool) -> Iterator[list[Item]]:
    if grouped:
        yield from (list(some) for _, some in groupby(items, key=lambda item: item.prompt_hash))
    else:
        yield from ([item] for item in items)
