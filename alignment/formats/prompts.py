"""Plain prompts: one a line of text, or JSON lines of `{prompt}` or `{text}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from alignment.formats.canonical import BadRow, Item
from alignment.formats.facts import columns, read_facts
from alignment.formats.losses import CHAT, FACT_COLUMNS
from alignment.formats.messages import prompt, written

NAME: Final = "prompts"
TITLE: Final = "Plain prompts"
KINDS: Final = frozenset({"prompts"})
STYLES: Final = {"jsonl": CHAT | FACT_COLUMNS, "lines": frozenset[str]()}
DECIDED: Final = True
NOTES: Final = ("As lines of text, a prompt that has several lines is left out.",)
EXAMPLE: Final = "Name a color."
_COLUMNS: Final = frozenset({"prompt", "text"})


def claims(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like this format."""
    return isinstance(row.get("text"), str) and "label" not in row and "prompt" not in row


def describe(row: Mapping[str, Any]) -> str:
    """What a person should read about this row's format."""
    del row
    return TITLE


def parse(row: Mapping[str, Any]) -> Item:
    """The item of one row: a prompt without answers."""
    name = "prompt" if "prompt" in row else "text"
    facts = read_facts({column: value for column, value in row.items() if column not in _COLUMNS})
    return Item(prompt(row.get(name), name), [], (), facts)


def render(item: Item, style: str = "jsonl") -> dict[str, Any]:
    """The row of a prompt; for lines of text, what its line says."""
    if style == "lines":
        line = item.prompt[-1]["content"]
        if line.splitlines() != [line]:
            raise BadRow("prompt", "The prompt has several lines.")
        return {"text": line}
    asked: Any = [written(turn) for turn in item.prompt]
    if len(asked) == 1 and asked[0].keys() == {"role", "content"} and isinstance(asked[0]["content"], str):
        asked = asked[0]["content"]
    return {"prompt": asked} | columns(item.facts, _COLUMNS)
