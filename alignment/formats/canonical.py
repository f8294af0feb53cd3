"""The shapes every preference-data format is read into: items, messages, labels; their canonical JSON and hashes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NotRequired, TypedDict, cast

import orjson

Split = Literal["train", "validation", "test"]
LabelOrigin = Literal["person", "import", "judge", "vote"]

ORIGINS: Final[frozenset[str]] = frozenset({"person", "import", "judge", "vote"})
ROLES: Final[frozenset[str]] = frozenset({"system", "user", "assistant", "tool"})


class Message(TypedDict):
    """One turn of a conversation; `content` is text."""

    role: str
    content: str
    reasoning: NotRequired[str]
    tool_calls: NotRequired[list[Any]]
    name: NotRequired[str]


class BadRow(ValueError):
    """One row cannot become an item: `field` says where, `reason` is a sentence for people."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class FileRefused(ValueError):
    """A whole file cannot be read: `reason` says why, `remedy` what to do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


@dataclass(slots=True, frozen=True)
class LabelFacts:
    """One annotator's judgement of an item, as a format carries it.

    `value` is `{"strength": s}` with s from -3 to 3, positive when `responses[0]` is better; `{"both_bad": true}`;
    or `{"skip": reason}`.
    """

    value: Mapping[str, Any]
    source: LabelOrigin = "import"
    annotator: str | None = None
    rationale: str | None = None
    seconds: float | None = None


CHOSEN_FIRST: Final = LabelFacts({"strength": 1})
"""The label of an imported chosen/rejected pair, whose `responses` are (chosen, rejected)."""


@dataclass(slots=True)
class Item:
    """A prompt and its responses, with the labels and facts a file gave for it."""

    prompt: list[Message]
    responses: list[Message]
    labels: Sequence[LabelFacts] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    line: int = 0
    id: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def prompt_hash(self) -> str:
        """SHA-256 of the prompt's canonical JSON: prompts that are equal here share a split."""
        return hash_of(self.prompt)

    @property
    def content_hash(self) -> str:
        """SHA-256 over prompt and responses, whatever the order of the responses: equal means the same item."""
        return content_hash(self.prompt_hash, self.responses)


@dataclass(slots=True, frozen=True)
class RowError:
    """A row that was left out: where it is, which field is wrong, why, and how it begins."""

    line: int
    field: str
    reason: str
    excerpt: str = ""


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces.  Raises BadRow for text that is not Unicode (lone surrogates)."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raise BadRow("row", "The text holds half of a surrogate pair, which is no valid Unicode.") from None


def hash_of(value: Any) -> str:
    """SHA-256 (hex) of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def content_hash(prompt_hash: str, responses: Sequence[Message]) -> str:
    """The hash of an item from its prompt's hash and its responses, in any order."""
    digests = sorted(hashlib.sha256(canonical_json(response)).digest() for response in responses)
    return hashlib.sha256(prompt_hash.encode() + b"".join(digests)).hexdigest()


# ---- reading one message, prompt or response -----------------------------------------------------------------------

_MESSAGE_KEYS: Final = frozenset({"role", "content", "reasoning", "tool_calls", "name"})


def text(value: Any, field: str) -> str:
    """The value as text that a database can hold, or BadRow."""
    if type(value) is not str:
        raise BadRow(field, f"Text is expected here, not {kind_of(value)}.")
    if "\x00" in value:
        raise BadRow(field, "The text holds a NUL character (\\u0000), which cannot be stored.")
    return value


def message(value: Any, field: str) -> Message:
    """One chat message from `{role, content, …}`; a list of text parts becomes one text."""
    if type(value) is not dict:
        raise BadRow(field, f"A message {{role, content}} is expected here, not {kind_of(value)}.")
    role = value.get("role")
    if type(role) is not str or role not in ROLES:
        raise BadRow(f"{field}.role", f"The role must be one of {', '.join(sorted(ROLES))}, not {excerpt(role)}.")
    if "content" not in value and "tool_calls" not in value:
        raise BadRow(f"{field}.content", "The message has no content.")
    content = value.get("content")
    if type(content) is not str:
        content = _joined(content if content is not None else "", f"{field}.content")
    elif "\x00" in content:
        text(content, f"{field}.content")
    if len(value) == 2:
        return {"role": role, "content": content}
    return _with_extras(value, {"role": role, "content": content}, field)


def _with_extras(value: Mapping[str, Any], plain: Message, field: str) -> Message:
    """The message with the optional keys it carries; absent is the same as null."""
    for key, extra in value.items():
        if key in ("role", "content") or extra is None:
            continue
        if key not in _MESSAGE_KEYS:
            raise BadRow(f"{field}.{key}", f"A message has no key {excerpt(key)}; it has {_names(_MESSAGE_KEYS)}.")
        if key == "tool_calls":
            if type(extra) is not list:
                raise BadRow(f"{field}.tool_calls", "A list of tool calls is expected here.")
            if extra:
                plain["tool_calls"] = storable(extra, f"{field}.tool_calls")
        else:
            cast(dict[str, Any], plain)[key] = text(extra, f"{field}.{key}")
    return plain


def _joined(content: Any, field: str) -> str:
    if type(content) is not list:
        return text(content, field)
    parts = []
    for index, part in enumerate(content):
        if type(part) is not dict or part.get("type") != "text":
            raise BadRow(f"{field}[{index}]", "Only text parts can be used; pictures, sound and video cannot yet.")
        parts.append(text(part.get("text"), f"{field}[{index}].text"))
    return "".join(parts)


def prompt(value: Any, field: str = "prompt") -> list[Message]:
    """A prompt from a text or a list of messages: a system turn only at the start, the last turn the user's."""
    if type(value) is str:
        value = [{"role": "user", "content": value}]
    if type(value) is not list:
        raise BadRow(field, f"The prompt must be a text or a list of messages, not {kind_of(value)}.")
    if not value:
        raise BadRow(field, "The prompt is empty.")
    messages = [message(turn, f"{field}[{index}]") for index, turn in enumerate(value)]
    for index in range(1, len(messages)):
        if messages[index]["role"] == "system":
            raise BadRow(f"{field}[{index}].role", "A system message may stand only at the start.")
    if messages[-1]["role"] != "user":
        raise BadRow(field, f"The prompt must end with the user's turn, not with {messages[-1]['role']}.")
    if not messages[-1]["content"].strip():
        raise BadRow(field, "The user's last turn is empty.")
    return messages


def response(value: Any, field: str) -> Message:
    """An assistant message from a text, a message, or a list of exactly one message."""
    if type(value) is list:
        if len(value) != 1:
            raise BadRow(field, f"Exactly one assistant message is expected here, not {len(value)} messages.")
        value = value[0]
    answer: Message = (
        {"role": "assistant", "content": text(value, field)} if type(value) is str else message(value, field)
    )
    if answer["role"] != "assistant":
        raise BadRow(field, f"The response must come from the assistant, not from {answer['role']}.")
    if not answer["content"].strip() and not answer.get("tool_calls"):
        raise BadRow(field, "The response is empty.")
    return answer


def refuse_equal(first: Message, second: Message, field: str) -> None:
    """Raise BadRow when the two responses say the same (spaces around them aside)."""
    if first["content"].strip() == second["content"].strip() and first.get("tool_calls") == second.get("tool_calls"):
        raise BadRow(field, "Both responses are the same, so there is nothing to prefer.")


def storable(value: Any, field: str) -> Any:
    """The JSON value unchanged if a database can hold it: no NaN, infinity or NUL anywhere in it."""
    if type(value) is str:
        return text(value, field)
    if type(value) is float and not math.isfinite(value):
        raise BadRow(field, "NaN and infinity are no numbers that can be stored.")
    if type(value) is dict:
        for key, inner in value.items():
            storable(text(key, field), field)
            storable(inner, f"{field}.{key}")
    elif type(value) is list:
        for index, inner in enumerate(value):
            storable(inner, f"{field}[{index}]")
    return value


def kind_of(value: Any) -> str:
    """The value's JSON type in words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else type(value).__name__


def shared_beginning(first: str, second: str) -> str:
    """The longest text that both begin with, found by halving: long transcripts are compared at C speed."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return first[:low]


def excerpt(value: Any, length: int = 120) -> str:
    """The beginning of a value for an error list, on one line."""
    plain = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
    plain = " ".join(plain[: length * 2].split())
    return plain if len(plain) <= length else plain[: length - 1] + "…"


def _names(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
