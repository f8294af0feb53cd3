"""What of an item's facts stays true where its answers are parted, or put beside others."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from alignment.formats.canonical import CHOSEN_FIRST, BadRow, Item
from alignment.formats.facts import PER_RESPONSE, RESERVED
from alignment.formats.preference import Decision
from alignment.formats.ranking import ranks_of

OF_PAIRS: Final = frozenset(
    {"margin", "soft_label", "win_probability", "votes", "rationale", "empty_chosen", "empty_rejected"}
)
"""Facts that are about two answers, and mean nothing of one."""


def less(facts: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The facts without some of them."""
    return {name: value for name, value in facts.items() if name not in names}


def single(item: Item, place: int, facts: Mapping[str, Any]) -> Item:
    """One of an item's answers by itself, with its own score; `facts` are added."""
    kept = less(item.facts, {*OF_PAIRS, *PER_RESPONSE, "desirable"})
    if "scores" in item.facts:
        kept["scores"] = [item.facts["scores"][place]]
    return Item(item.prompt, [item.responses[place]], (), {**kept, **facts}, line=item.line)


def sides(item: Item, decision: Decision) -> list[Item]:
    """Both answers of a decided pair with a thumb: the chosen one wanted, then the rejected one unwanted."""
    facts = decision.facts | ({RESERVED: item.facts[RESERVED]} if RESERVED in item.facts else {})
    pair = Item(item.prompt, decision.responses, (), facts, line=item.line)
    return [single(pair, place, {"desirable": place == 0}) for place in (0, 1)]


def unwanted(item: Item) -> list[Item]:
    """Both answers of a pair that is bad on both sides, each unwanted."""
    return [single(item, place, {"desirable": False}) for place in (0, 1)]


def best(item: Item) -> Item | None:
    """The best answer of a ranking by itself, of several the first; None where none is better than another.

    Raises BadRow where nothing says the order.
    """
    ranks = ranks_of(item)
    return None if len(set(ranks)) == 1 else single(item, ranks.index(min(ranks)), {})


def joined(wanted: Item, unwanted: Item) -> Item:
    """A wanted and an unwanted answer to the same prompt as a pair, with both scores where both are known."""
    facts = {name: value for name, value in wanted.facts.items() if unwanted.facts.get(name) == value}
    scores = [one.facts.get("scores") for one in (wanted, unwanted)]
    facts = less(facts, {*PER_RESPONSE, "desirable"})
    if scores[0] and scores[1]:
        facts["scores"] = [scores[0][0], scores[1][0]]
    return Item(wanted.prompt, [*wanted.responses, *unwanted.responses], (CHOSEN_FIRST,), facts, line=wanted.line)


def rounds(some: Sequence[Item], others: Sequence[Item]) -> Iterator[tuple[Item, Item]]:
    """Each of some with each of the others; after as many pairs as the longer side has answers, all have met one."""
    fewer, more = sorted((some, others), key=len)
    for shift in range(len(fewer)):
        for place, one in enumerate(more):
            other = fewer[(place + shift) % len(fewer)]
            yield (one, other) if more is some else (other, one)


def by_scores(item: Item, margin: float) -> Item | None:
    """A pair with the answer first that scores higher; None where the scores differ by no more than nothing, or by
    less than `margin`.  Raises BadRow without scores."""
    scores = item.facts.get("scores")
    if scores is None:
        raise BadRow("scores", "The answers have no scores.")
    if not ahead(abs(scores[0] - scores[1]), margin):
        return None
    order = (0, 1) if scores[0] > scores[1] else (1, 0)
    facts = less(item.facts, OF_PAIRS)
    facts |= {name: [item.facts[name][place] for place in order] for name in PER_RESPONSE if name in item.facts}
    facts.pop("ranks", None)  # which would make a ranking of it
    return Item(item.prompt, [item.responses[place] for place in order], (CHOSEN_FIRST,), facts, line=item.line)


def ahead(gap: float, margin: float) -> bool:
    """Whether a difference is one, and reaches the margin."""
    return gap > 0 and gap >= margin
