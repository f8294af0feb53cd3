"""Log-probabilities of an answer's tokens, as the chat protocol tells them; a stranger's word, so all or nothing."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from alignment.judges import Token

MOST_TOKENS = 100_000
MOST_TOLD = 20
LONGEST = 200


class _Untold(ValueError):
    """They do not have the shape that the protocol gives them."""


def read(told: Any) -> Sequence[Token]:
    """The tokens of an answer with the likeliest ones in their places; empty when none or nonsense was told."""
    content = told.get("content") if isinstance(told, dict) else None
    if not isinstance(content, list) or len(content) > MOST_TOKENS:
        return ()
    try:
        return [Token(_text(one), list(_likeliest(one))) for one in content]
    except _Untold:
        return ()


def _likeliest(one: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """A token may be missing among those told in its place: it is not one of the first few then."""
    others = one.get("top_logprobs")
    if not isinstance(others, list) or len(others) > MOST_TOLD:
        raise _Untold
    own = _text(one)
    texts = [_text(other) for other in others]
    yield from zip(texts, map(_logprob, others), strict=True)
    if own not in texts:
        yield own, _logprob(one)


def _text(one: Any) -> str:
    text = one.get("token") if isinstance(one, dict) else None
    if not isinstance(text, str) or len(text) > LONGEST:
        raise _Untold
    return text


def _logprob(one: dict[str, Any]) -> float:
    value = one.get("logprob")
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value) or value > 0.001:
        raise _Untold
    return -math.inf if value < -1e6 else min(float(value), 0.0)
