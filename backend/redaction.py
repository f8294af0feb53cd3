"""Redaction: what no log line may hold, however it got there."""

import re
from functools import lru_cache
from typing import Any

import structlog

HIDDEN = "[hidden]"
_KEYS = re.compile(r"password|passwd|secret|token|authorization|cookie|api_?key|credential", re.IGNORECASE)
_SHAPES = re.compile(
    r"(?i:bearer\s+)[\w.~+/=-]{8,}|\b(?:hf|plb|plr|sk|rk|gh[pousr]|glpat|xox[bp])[_-][\w-]{12,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
    r"|(?<=[?&])(?i:token|key|api_key|code|state|access_token|x-amz-signature|signature)=[^&\s\"']+"
)
_KNOWN: set[str] = set()


def hide(value: str) -> None:
    """From now on this process writes `value` into no log; very short ones would hide half of the language."""
    if len(value) >= 8:
        _KNOWN.add(value)


def redact(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A structlog processor: texts under telling names, texts that look like tokens, and all that was hidden."""
    return {key: _clean(key, value) for key, value in event.items()}


def _clean(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return HIDDEN if _telling(key) else redacted(value)
    if isinstance(value, dict):
        return {inner: _clean(str(inner), one) for inner, one in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(key, one) for one in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redacted(str(value))


@lru_cache(1024)  # log lines have few keys, and each request writes one
def _telling(key: str) -> bool:
    return _KEYS.search(key) is not None


def redacted(text: str) -> str:
    """`text` without what was hidden and what looks like a token."""
    for known in sorted(_KNOWN, key=len, reverse=True):
        text = text.replace(known, HIDDEN)
    return _SHAPES.sub(HIDDEN, text)
