"""What can be counted in an answer's text: the properties that a judge may like or dislike."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_CHARACTERS: Final = 20_000
"""Only the beginning of a longer answer is read, but its whole length counts."""
OPENING: Final = 300
"""Where an answer that refuses says so; the same words further on are about something else."""

STYLES: Final = ("length", "headings", "bold", "lists")
"""What style control sets equal: the four of Chatbot Arena's."""


class _Counted(NamedTuple):
    """A pattern; a match in English holds one of `hints`, in small letters; of `lines` each is matched from its start.

    Looking for hints is many times as quick as looking for the pattern.
    """

    pattern: re.Pattern[str]
    hints: tuple[str, ...] = ()
    lines: bool = False


def _words(*alternatives: str) -> _Counted:
    return _Counted(re.compile(rf"\b(?:{'|'.join(alternatives)})\b", re.IGNORECASE), alternatives)


_COUNTED: Final[Mapping[str, _Counted]] = {
    "headings": _Counted(re.compile(r"#{1,6}[ \t]"), ("#",), lines=True),
    "bold": _Counted(re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__"), ("**", "__")),
    "lists": _Counted(re.compile(r"[ \t]{0,12}(?:[-*+•]|\d{1,3}[.)])[ \t]"), lines=True),
    "code": _Counted(re.compile(r"```|`[^`\n]+`"), ("`",)),
    "hedging": _words(
        *("perhaps", "maybe", "might", "possibly", "probably", "likely", "seem", "seems", "generally", "usually"),
        *("i think", "i believe"),
    ),
    "refusals": _words(
        *("i can't", "i cannot", "i can not", "i won't", "i will not", "i'm unable", "i am unable", "i'm not able"),
        *("i am not able", "as an ai"),
    ),
    "apologies": _words("sorry", "apologise", "apologize", "apologies"),
    "exclamation marks": _Counted(re.compile("!"), ("!",)),
    "questions": _Counted(re.compile(r"\?"), ("?",)),
    "citations": _Counted(
        re.compile(r"\[\d{1,3}\]|https?://|\bet al\b|\(\w{2,30},? \d{4}\)"), ("[", "http", "et al", "(")
    ),
    "numbers": _Counted(re.compile(r"\d+")),
    "first person": _Counted(re.compile(r"\b(?:I|me|my|mine|myself)\b")),
    "contractions": _Counted(re.compile(r"[a-z]'(?:t|s|re|ve|ll|d|m)\b", re.IGNORECASE), ("'",)),
    "agreeing": _words(
        *("great question", "good question", "you're right", "you are right", "absolutely", "certainly", "of course")
    ),
    "offers of help": _words("let me know", "feel free", "hope this helps", "happy to help", "glad to help"),
}
_WORD: Final = re.compile(r"[^\W\d_]+")

FEATURES: Final = ("length", *_COUNTED, "long words")


def measure(text: str, names: Sequence[str] = FEATURES) -> list[float]:
    """How much of each of `names` an answer has: characters, counts, and the mean letters of its words."""
    read = text[:MOST_CHARACTERS].replace("\u2019", "'")
    small = read.lower() if read.isascii() else None  # beyond it, letters that look alike may match
    return [_one(name, text, read, small) for name in names]


def refuses(text: str) -> bool:
    """Whether an answer refuses, as far as words tell: one of the phrases counted as `refusals` opens it. English."""
    return _COUNTED["refusals"].pattern.search(text[:OPENING].replace("\u2019", "'")) is not None


def _one(name: str, text: str, read: str, small: str | None) -> float:
    if name == "length":
        return float(len(text))
    if name == "long words":
        words = _WORD.findall(read)
        return sum(map(len, words)) / len(words) if words else 0.0
    counted = _COUNTED[name]
    if small is not None and counted.hints:
        for hint in counted.hints:
            if hint in small:
                break
        else:
            return 0.0
    if counted.lines:
        return float(sum(counted.pattern.match(line) is not None for line in read.split("\n")))
    return float(len(counted.pattern.findall(read)))


def shares(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """(first - second) / (first + second) of what both have, 0 where neither has any: between -1 and 1."""
    together = first + second
    return np.asarray(np.divide(first - second, together, out=np.zeros_like(together), where=together > 0))
