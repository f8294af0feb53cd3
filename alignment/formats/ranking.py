"""From answers in an order to pairs: which of them meet, stated by the caller."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Final, Literal

from alignment.formats.canonical import CHOSEN_FIRST, BadRow, Item
from alignment.formats.facts import PER_RESPONSE

PairRule = Literal["best_worst", "best_rest", "best_random", "adjacent", "all"]
RULES: Final[dict[PairRule, str]] = {
    "best_worst": "The best against the worst: one pair each.",
    "best_rest": "The best against every other answer.",
    "best_random": "The best against one of the others, drawn by lot: one pair each.",
    "adjacent": "Each against the next in rank.",
    "all": "Each against each.",
}
"""Which answers of a ranking meet; answers that share a rank never do."""

MOST_RANKED: Final = 1_000
"""The most answers of a ranking that is trained on or converted."""


def ranks_of(item: Item) -> list[float]:
    """The rank of each response, 1 the best; by score where no ranks are given.  Raises BadRow without either."""
    if (ranks := item.facts.get("ranks")) is not None:
        return list(ranks)
    scores = item.facts.get("scores")
    if scores is None:
        raise BadRow("ranks", "The answers have neither ranks nor scores.")
    return [1.0 + sum(other > score for other in scores) for score in scores]


def pairs_of(item: Item, rule: PairRule, seed: int = 0) -> Iterator[Item]:
    """The pairs of a ranked item, the better answer first; `margin` is how many ranks lie between them.

    `seed` and the prompt decide what is drawn by lot.  Raises BadRow where nothing says the order.
    """
    ranks = ranks_of(item)
    order = sorted(range(len(ranks)), key=ranks.__getitem__)
    lot = random.Random(f"{seed}/{item.prompt_hash}") if rule == "best_random" else None
    for better, worse in _meetings(order, rule, lot, ranks):
        one, other = item.responses[better], item.responses[worse]
        if ranks[better] == ranks[worse] or one["content"].strip() == other["content"].strip():
            continue
        facts = {name: value for name, value in item.facts.items() if name not in PER_RESPONSE}
        for name in ("scores", "aspects"):
            if name in item.facts:
                facts[name] = [item.facts[name][better], item.facts[name][worse]]
        facts["margin"] = ranks[worse] - ranks[better]
        yield Item(item.prompt, [one, other], (CHOSEN_FIRST,), facts, line=item.line)


def _meetings(
    order: list[int], rule: PairRule, lot: random.Random | None, ranks: list[float]
) -> Iterator[tuple[int, int]]:
    if lot is not None:
        worse = [other for other in order[1:] if ranks[other] > ranks[order[0]]]
        yield from [(order[0], lot.choice(worse))] if worse else []
    elif rule == "all":
        yield from combinations(order, 2)
    elif rule == "adjacent":
        yield from pairwise(order)
    elif rule == "best_rest":
        yield from ((order[0], other) for other in order[1:])
    else:
        yield order[0], order[-1]
