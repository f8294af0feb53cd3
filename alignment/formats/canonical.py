"""The shapes every preference-data format is read into: items, messages, labels; their canonical JSON and hashes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NotRequired, TypedDict

import orjson

Split = Literal["train", "validation", "test"]
LabelOrigin = Literal["person", "import", "judge", "vote", "adjudication"]
Kind = Literal["prompts", "demonstrations", "unpaired", "paired", "ranked"]

ORIGINS: Final[frozenset[str]] = frozenset({"person", "import", "judge", "vote", "adjudication"})
ROLES: Final[frozenset[str]] = frozenset({"system", "user", "assistant", "tool"})


PARTS: Final[frozenset[str]] = frozenset(
    {"text", "image", "image_url", "audio", "input_audio", "video", "video_url", "file"}
)
"""The types of content parts that are kept; all but text are media."""


class Message(TypedDict):
    """One turn of a conversation; `content` is its text.

    A turn given as several parts, or as media, keeps them in `parts`, and `content` is then the text in them.
    """

    role: str
    content: str
    reasoning: NotRequired[str]
    tool_calls: NotRequired[list[Any]]
    tool_call_id: NotRequired[str]
    name: NotRequired[str]
    parts: NotRequired[list[Any]]


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
    `{"ranking": [[1], [0, 2]]}`, groups of responses by their places, best first; `{"thumb": true or false}`; or
    `{"skip": reason}`. `created_at` is ISO 8601 in UTC. `surplus` came when a task had as many as it asked for;
    `aspects` has a number for each response, aspect by aspect.
    """

    value: Mapping[str, Any]
    source: LabelOrigin = "import"
    annotator: str | None = None
    rationale: str | None = None
    seconds: float | None = None
    created_at: str | None = None
    surplus: bool = False
    aspects: Mapping[str, Sequence[float]] | None = None


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
    def kind(self) -> Kind:
        """What the item is: a bare prompt, one answer (with a thumb or without), a pair, or answers in an order."""
        count = len(self.responses)
        if count == 2 and ("ranks" not in self.facts or self.labels):
            return "paired"
        if count > 1:
            return "ranked"
        if not count:
            return "prompts"
        return "unpaired" if "desirable" in self.facts else "demonstrations"

    @property
    def has_media(self) -> bool:
        """Whether a turn holds pictures, sound, video or files, which text alone does not say."""
        return any(part["type"] != "text" for turn in (*self.prompt, *self.responses) for part in turn.get("parts", ()))

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


# ---- values that can be stored ------------------------------------------------------------------------------------


def text(value: Any, field: str) -> str:
    """The value as text that a database can hold, or BadRow."""
    if type(value) is not str:
        raise BadRow(field, f"Text is expected here, not {kind_of(value)}.")
    if "\x00" in value:
        raise BadRow(field, "The text holds a NUL character (\\u0000), which cannot be stored.")
    return value


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


def excerpt(value: Any, length: int = 120) -> str:
    """The beginning of a value for an error list, on one line."""
    plain = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
    plain = " ".join(plain[: length * 2].split())
    return plain if len(plain) <= length else plain[: length - 1] + "…"
