"""The responses of an item as judges see them: their texts, and every two of them in both orders."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

from alignment.chat import UnsupportedContent, text_of
from alignment.formats.canonical import hash_of
from alignment.judges import Match
from backend.evaluations import known

MOST_COMPARED = 8
NOT_TEXT = "It holds something other than text."
SAME = "Its responses are all the same."
MANY = f"It has more than {MOST_COMPARED} responses, and each two would be compared twice."
Messages = Sequence[dict[str, Any]]
Texts = tuple[str, ...] | str
"""The texts of an item's responses, or why there is nothing to say of them."""


class Shown(NamedTuple):
    """Two responses in one order, and the key of what is said of them, where it is worth keeping."""

    match: Match
    key: str | None


def texts(responses: Messages) -> Texts:
    """What scores read."""
    try:
        found = tuple(text_of(response["content"]) for response in responses)
    except (UnsupportedContent, KeyError):
        return NOT_TEXT
    return SAME if len(found) > 1 and len(set(found)) == 1 else found


def compared(responses: Messages) -> Texts:
    """The same of responses that are compared two by two."""
    return MANY if len(responses) > MOST_COMPARED else texts(responses)


def shown(prompt: list[dict[str, Any]], own: Texts, paid: str | None) -> list[Shown]:
    """Every two responses, (0, 1), (0, 2) …, (1, 2) …, each in both orders; `paid` is what keys begin with."""
    if isinstance(own, str):
        return []
    hashed = hash_of(prompt)
    orders = [sides for pair in combinations(own, 2) for sides in (pair, pair[::-1])]
    keys = [None if paid is None else known.verdict_key(paid, hashed, *sides) for sides in orders]
    return [Shown(Match(prompt, *sides), key) for sides, key in zip(orders, keys, strict=True)]
