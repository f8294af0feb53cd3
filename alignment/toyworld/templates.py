"""Sentences with slots: filled to write the toy world's language, turned into patterns to read it back."""

import re
from collections.abc import Iterable, Mapping
from string import Formatter

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def fill(template: str, **slots: str) -> str:
    """The template with its slots filled and its first letter made a capital."""
    text = template.format(**slots)
    return text[:1].upper() + text[1:]


def pattern(template: str, vocabulary: Mapping[str, Iterable[str]]) -> re.Pattern[str]:
    """A lower-case pattern whose groups are the slots. A slot used twice must hold the same words twice.

    Only literals and plain alternations are used, so that no text, however broken, makes matching slow.
    """
    parts: list[str] = []
    seen: set[str] = set()
    for literal, slot, _, _ in Formatter().parse(template):
        parts.append(re.escape(literal.lower()))
        if slot is None:
            continue
        if slot in seen:
            parts.append(f"(?P={slot})")
            continue
        seen.add(slot)
        words = sorted({word.lower() for word in vocabulary[slot]}, key=lambda word: (-len(word), word))
        parts.append(f"(?P<{slot}>{'|'.join(re.escape(word) for word in words)})")
    return re.compile("".join(parts))


def sentences(text: str) -> list[str]:
    """The text cut after each full stop, exclamation or question mark, white space folded."""
    folded = " ".join(text.split())
    return _SENTENCE_END.split(folded) if folded else []
