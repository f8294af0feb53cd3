"""Reading a verdict out of a model's reply: strictly, from one place, with its probability when that is told."""

import json
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from alignment.judges.judge import Token

TIE = "C"
LETTERS = ("A", "B", TIE)
AROUND = " \t\r\n*_`\"'()[].:"
MOST_JSON = 64_000
_VALUE = re.compile(r'"verdict"\s*:\s*"[ABC]"')
_SPECIAL = re.compile(r"\s*(<[^<>]*>)?\s*")


class Said(NamedTuple):
    """The letter of a verdict, and what the reply still says after it."""

    letter: str
    rest: str


def verdict_in(text: str) -> Said | None:
    """The verdict of a reply: its last line is the letter alone, or the last line or the whole is `{"verdict": …}`.

    None for everything else; nothing before the last line is looked at unless the whole is JSON.
    """
    text = text.rstrip()
    last = text[text.rfind("\n") + 1 :]
    if len(last) <= 40 and last.strip(AROUND) in LETTERS:
        letter = last.strip(AROUND)
        return Said(letter, last[last.index(letter) + 1 :])
    for part in (last, text):
        part = part.strip()
        if part.startswith("{") and part.endswith("}") and len(part) <= MOST_JSON:
            return _in_json(part)
    return None


def _in_json(text: str) -> Said | None:
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    letter = found.get("verdict") if isinstance(found, dict) else None
    if not isinstance(letter, str) or letter not in LETTERS:
        return None
    places = list(_VALUE.finditer(text))
    return Said(letter, text[places[-1].end() - 1 :] if len(places) == 1 else "?")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: of two verdicts neither counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def probability(said: Said, tokens: Sequence[Token]) -> float:
    """How probable it was that the first answer is called better, a tie counted half, given that a letter came.

    1 or 0 as the letter says when the tokens tell nothing usable; what they tell never turns a verdict round.
    """
    plain = 1.0 if said.letter == "A" else 0.0
    token = _token(said, tokens)
    if token is None:
        return plain
    mass = dict.fromkeys(LETTERS, 0.0)
    for text, logprob in token.likeliest:
        letter = text.strip(AROUND)
        if letter in mass and logprob <= 0.0:
            mass[letter] += math.exp(logprob)
    total = math.fsum(mass.values())
    if total <= 0.0:
        return plain
    first = (mass["A"] + mass[TIE] / 2) / total
    return first if (first > 0.5) == (plain == 1.0) and first != 0.5 else plain


def _token(said: Said, tokens: Sequence[Token]) -> Token | None:
    """The token that is the letter: the last one that is nothing else, followed by what follows the verdict."""
    after = ""
    for token in reversed(tokens):
        if token.text.strip(AROUND) == said.letter:
            own = token.text[token.text.index(said.letter) + 1 :]
            rest = own + after
            whole = rest.startswith(said.rest) and _SPECIAL.fullmatch(rest[len(said.rest) :])
            return token if whole else None
        after = token.text + after
        if len(after) > len(said.rest) + 200:
            return None
    return None
