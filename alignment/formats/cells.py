"""What a cell of a table can hold: a text, the JSON of messages, a number, a label; and cells written safely."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from alignment.formats.canonical import BadRow, Item, Message, excerpt
from alignment.formats.facts import FACTS, read_facts
from alignment.formats.losses import CHAT
from alignment.formats.messages import written

SCALARS: Final = frozenset(
    {"weight", "margin", "votes", "soft_label", "win_probability", "category", "reference_answer"}
)
HELD: Final = CHAT | SCALARS | {"scores", "desirable"}
_NUMBERS: Final = frozenset({"weight", "margin", "votes", "soft_label", "win_probability"})
_WANTED: Final = frozenset({"true", "1", "1.0", "yes", "y", "good", "up", "desirable", "accept", "👍"})
_UNWANTED: Final = frozenset({"false", "0", "0.0", "no", "n", "bad", "down", "undesirable", "reject", "👎"})
_MEANINGS: Final[Mapping[str, dict[str, Any]]] = {
    "a": {"strength": 1},
    "b": {"strength": -1},
    "tie": {"strength": 0},
    "both_bad": {"both_bad": True},
}
SIDES: Final = {
    **dict.fromkeys(("a", "1", "left", "first", "response_a", "response_1", "model_a"), "a"),
    **dict.fromkeys(("b", "2", "right", "second", "response_b", "response_2", "model_b"), "b"),
    **dict.fromkeys(("tie", "equal", "same", "draw"), "tie"),
    **dict.fromkeys(("both_bad", "both bad", "bothbad", "tie (bothbad)"), "both_bad"),
}
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
_GUARDED: Final = re.compile(r"'+[=+\-@\t\r]")
HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    "prompts": ("prompt",),
    "demonstrations": ("prompt", "response", "score"),
    "unpaired": ("prompt", "response", "label", "score"),
    "paired": ("prompt", "chosen", "rejected", "score_chosen", "score_rejected"),
}


def header(kind: str) -> list[str]:
    """The columns of a table of that kind."""
    return [*HEADERS[kind], *(name for name in FACTS if name in SCALARS)]


def opened(value: Any) -> Any:
    """The list of messages that a cell holds as JSON; any other cell as it is."""
    if isinstance(value, str) and value.startswith("[{"):
        try:
            found = orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
        if all(isinstance(turn, dict) and "role" in turn for turn in found):
            return found
    return value


def number(value: Any, field: str) -> float | None:
    """The number in a cell; None in an empty one."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        raise BadRow(field, f"A number is expected here, not {excerpt(value, 40)}.") from None
    if isinstance(value, bool) or not math.isfinite(found):
        raise BadRow(field, f"A number is expected here, not {excerpt(value, 40)}.")
    return found


def scalars(rest: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of the columns that bear their name, numbers read from text; the others under `meta`."""
    return read_facts(
        {name: number(value, name) if name in _NUMBERS else value for name, value in rest.items() if _plain(name)}
        | ({"meta": hidden} if (hidden := {name: value for name, value in rest.items() if not _plain(name)}) else {})
    )


def _plain(name: str) -> bool:
    """Whether a column of that name may stand beside the facts: it is one a cell can hold, or none of them."""
    return name in SCALARS or name in ("annotator", "rationale") or (name not in FACTS and name != "meta")


def thumb(value: Any, field: str, values: Mapping[str, str]) -> bool:
    """Whether a response is wanted, in any of the usual words."""
    word = str(value).strip().lower() if value is not None else ""
    word = values.get(str(value).strip(), word)
    if word in _WANTED:
        return True
    if word in _UNWANTED:
        return False
    raise BadRow(
        field, f"True or false (or 1 or 0, yes or no, good or bad) is expected here, not {excerpt(value, 40)}."
    )


def preference(value: Any, field: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Which of two responses is better, in any of the usual words."""
    word = str(value).strip()
    known = _MEANINGS.get(values.get(word) or SIDES.get(word.lower().removesuffix(".0"), ""))
    if known is None:
        raise BadRow(field, f"a, b or tie (or 1 or 2, left or right) is expected here, not {excerpt(value, 40)}.")
    return dict(known)


def strength(value: Any, field: str) -> int:
    """A whole number from -3 to 3."""
    found = number(value, field)
    if found is None or found not in range(-3, 4):
        raise BadRow(field, f"A whole number from -3 to 3 is expected here, not {excerpt(value, 40)}.")
    return int(found)


def rendered(item: Item) -> dict[str, Any]:
    """The cells of an item, as texts and numbers."""
    row: dict[str, Any] = {"prompt": _said(item.prompt)}
    scores = item.facts.get("scores", ())
    if len(item.responses) == 1:
        row["response"] = _said(item.responses)
        names: tuple[str, ...] = ("score",)
        if "desirable" in item.facts:
            row["label"] = "true" if item.facts["desirable"] else "false"
    else:
        names = ("score_chosen", "score_rejected")
        for name, answer in zip(("chosen", "rejected"), item.responses, strict=False):
            row[name] = _said([answer])
    row |= dict(zip(names, scores, strict=False))
    return row | {name: item.facts[name] for name in SCALARS if name in item.facts}


def _said(turns: list[Message]) -> str:
    """A lone plain text as it is; anything else as the JSON of messages."""
    first = turns[0]
    if (
        len(turns) == 1
        and len(first) == 2
        and first["role"] in ("user", "assistant")
        and not first["content"].startswith("[{")
    ):
        return first["content"]
    return orjson.dumps([written(turn) for turn in turns]).decode()


def guarded(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def bare(value: str) -> str:
    """The cell as it was before `guarded`."""
    return value[1:] if value[:1] == "'" and _GUARDED.match(value) else value
