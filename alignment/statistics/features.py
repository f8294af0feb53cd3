"""What can be counted in an answer's text: the properties that a judge may like or dislike."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

MOST_CHARACTERS: Final = 20_000
"""Only the beginning of a longer answer is read, but its whole length counts."""
OPENING: Final = 300
"""Where an answer that refuses says so; the same words further on are about something else."""

STYLES: Final = ("length", "headings", "bold", "lists")
"""What style control sets equal: the four of Chatbot Arena's."""

_COUNTED: Final[Mapping[str, re.Pattern[str]]] = {
    "headings": re.compile(r"^#{1,6}[ \t]", re.MULTILINE),
    "bold": re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__"),
    "lists": re.compile(r"^[ \t]{0,12}(?:[-*+•]|\d{1,3}[.)])[ \t]", re.MULTILINE),
    "code": re.compile(r"```|`[^`\n]+`"),
    "hedging": re.compile(
        r"\b(?:perhaps|maybe|might|possibly|probably|likely|seems?|generally|usually|i think|i believe)\b",
        re.IGNORECASE,
    ),
    "refusals": re.compile(
        r"\b(?:i can't|i cannot|i can not|i won't|i will not|i'm unable|i am unable|i'm not able|"
        r"i am not able|as an ai)\b",
        re.IGNORECASE,
    ),
    "apologies": re.compile(r"\b(?:sorry|apologi[sz]e|apologies)\b", re.IGNORECASE),
    "exclamation marks": re.compile("!"),
    "questions": re.compile(r"\?"),
    "citations": re.compile(r"\[\d{1,3}\]|https?://|\bet al\b|\(\w{2,30},? \d{4}\)"),
    "numbers": re.compile(r"\d+"),
    "first person": re.compile(r"\b(?:I|me|my|mine|myself)\b"),
    "contractions": re.compile(r"[a-z]'(?:t|s|re|ve|ll|d|m)\b", re.IGNORECASE),
    "agreeing": re.compile(
        r"\b(?:great question|good question|you're right|you are right|absolutely|certainly|of course)\b",
        re.IGNORECASE,
    ),
    "offers of help": re.compile(
        r"\b(?:let me know|feel free|hope this helps|happy to help|glad to help)\b", re.IGNORECASE
    ),
}
_WORD: Final = re.compile(r"[^\W\d_]+")

FEATURES: Final = ("length", *_COUNTED, "long words")


def measure(text: str, names: Sequence[str] = FEATURES) -> list[float]:
    """How much of each of `names` an answer has: characters, counts, and the mean letters of its words."""
    read = text[:MOST_CHARACTERS].replace("\u2019", "'")
    return [_one(name, text, read) for name in names]


def refuses(text: str) -> bool:
    """Whether an answer refuses, as far as words tell: one of the phrases counted as `refusals` opens it. English."""
    return _COUNTED["refusals"].search(text[:OPENING].replace("\u2019", "'")) is not None


def _one(name: str, text: str, read: str) -> float:
    if name == "length":
        return float(len(text))
    if name == "long words":
        words = _WORD.findall(read)
        return sum(map(len, words)) / len(words) if words else 0.0
    return float(sum(1 for _ in _COUNTED[name].finditer(read)))


def shares(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """(first - second) / (first + second) of what both have, 0 where neither has any: between -1 and 1."""
    together = first + second
    return np.asarray(np.divide(first - second, together, out=np.zeros_like(together), where=together > 0))
