"""A dataset's items made into items of another kind, one after the other: what comes of them, and what does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from alignment.formats.canonical import Item, hash_of
from alignment.formats.conversion import Conversion
from alignment.formats.conversions import MOST_MEETINGS
from alignment.formats.judged import judged
from alignment.formats.preference import Policy
from alignment.formats.ranking import MOST_RANKED
from alignment.formats.writing import UNDECIDED

LEFT: Final = {
    **UNDECIDED,
    "unordered": "have neither ranks nor scores",
    "many": f"have more than {MOST_RANKED:,} answers",
    "one_rank": "have no answer that is better than another",
    "too_close": "have no answers that are far enough apart",
    "no_scores": "have no scores",
    "unwanted": "are not wanted",
    "no_thumb": "do not say whether they are wanted",
    "no_partner": "have no answer of the other side to the same prompt",
    "no_turn": f"are in none of the {MOST_MEETINGS:,} pairs of their prompt",
    "no_words": "have no plain text",
    "few_words": "have too few words to take these amounts out of them",
    "alone": "are the only answer to their prompt",
    "crowd": f"are answers to a prompt that has more than {MOST_RANKED:,}",
}
"""Why an item gives nothing, in words that follow “3 of 120 items”."""


@dataclass
class Counted:
    """How many items were looked at, how many came of them, and which of those give nothing, by LEFT.

    Of several that came of them and have the same content, one counts as `made` and the others as `doubled`; where they
    say different things of it, all are `contradicting`. `more` says that there are more than were counted.
    """

    items: int = 0
    made: int = 0
    left: Counter[str] = field(default_factory=Counter)
    doubled: int = 0
    contradicting: int = 0
    more: bool = False

    def sentences(self) -> list[str]:
        """What is left out, in words, the most frequent first."""
        said = [
            f"{count:,} of {self.items:,} items {LEFT[why]}; left out."
            for why, count in self.left.most_common()
            if count
        ]
        if self.contradicting:
            said.append(f"{self.contradicting:,} contradict another of the same content; left out.")
        return [*said, f"{self.doubled:,} are the same as another; left out."] if self.doubled else said


class Found:
    """What comes of items, looked through once: `counted`, and which contents there are to `take`.

    Contents are kept as hashes, so that what is made need not be held.
    """

    def __init__(self, items: Iterable[Item], conversion: Conversion, most: int | None = None) -> None:
        """Looks at what comes of the items, doubles too, up to `most` of it.

        Where the conversion is `GROUPED`, items of one prompt follow each other.
        """
        self.conversion, self.counted = conversion, Counted()
        self._times: Counter[str] = Counter()
        self._verdicts: dict[str, str | None] = {}
        for place, made in enumerate(self._turned(items, self.counted)):
            if place == most:
                self.counted.more = True
                break
            hashed, verdict = made.content_hash, _verdict(made)
            self._times[hashed] += 1
            if self._verdicts.setdefault(hashed, verdict) != verdict:
                self._verdicts[hashed] = None
        for hashed, said in self._verdicts.items():
            if said is None:
                self.counted.contradicting += self._times[hashed]
            else:
                self.counted.made += 1
                self.counted.doubled += self._times[hashed] - 1

    def take(self, items: Iterable[Item]) -> Iterator[Item]:
        """What comes of the same items, each content once, less those that contradict each other."""
        left = dict(self._verdicts)
        for made in self._turned(items, Counted()):
            hashed = made.content_hash
            if left.get(hashed) == _verdict(made):
                del left[hashed]
                yield made

    def _turned(self, items: Iterable[Item], counted: Counted) -> Iterator[Item]:
        for group in _groups(items, grouped=self.conversion.GROUPED):
            counted.items += len(group)
            yield from self.conversion.turned(list(self._judged(group, counted.left)), counted.left)

    def _judged(self, items: Iterable[Item], left: Counter[str]) -> Iterator[Item]:
        """Rankings and thumbs as their labels have them; those that labels leave undecided are counted."""
        kind = self.conversion.KIND
        for item in items:
            if kind in ("paired", "demonstrations") or not item.labels:
                yield item
                continue
            facts = judged(item, kind, Policy())
            if isinstance(facts, str):
                left[facts] += 1
            else:
                yield Item(item.prompt, item.responses, (), facts, line=item.line)


def _verdict(made: Item) -> str:
    """What an item says of its content: which of two answers is better, whether one is wanted; nothing otherwise."""
    if made.kind == "paired":
        return hash_of(made.responses[0])
    return str(made.facts.get("desirable", ""))


def _groups(items: Iterable[Item], *, grouped: bool) -> Iterator[list[Item]]:
    if grouped:
        yield from (list(some) for _, some in groupby(items, key=lambda item: item.prompt_hash))
    else:
        yield from ([item] for item in items)
