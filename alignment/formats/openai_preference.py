"""OpenAI's preference fine-tuning rows: `input.messages`, `preferred_output` and `non_preferred_output`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from alignment.formats.canonical import CHOSEN_FIRST, BadRow, Item, kind_of, storable
from alignment.formats.facts import RESERVED, read_facts
from alignment.formats.losses import CHAT
from alignment.formats.messages import prompt, refuse_equal, response, written

NAME: Final = "openai_preference"
TITLE: Final = "OpenAI preference fine-tuning"
KINDS: Final = frozenset({"paired"})
STYLES: Final = {"": (CHAT - {"reasoning"}) | {"tools"}}
DECIDED: Final = True
NOTES: Final = ("No further columns are written, because the service refuses rows that have any.",)
EXAMPLE: Final = (
    '{"input":{"messages":[{"role":"user","content":"Name a color."}],"tools":[],"parallel_tool_calls":true},'
    '"preferred_output":[{"role":"assistant","content":"Red."}],'
    '"non_preferred_output":[{"role":"assistant","content":"Seven."}]}'
)
_COLUMNS: Final = frozenset({"input", "preferred_output", "non_preferred_output"})
_DEFAULTS: Final[Mapping[str, Any]] = {"tools": [], "parallel_tool_calls": True}


def claims(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like this format."""
    return row.keys() >= _COLUMNS


def describe(row: Mapping[str, Any]) -> str:
    """What a person should read about this row's format."""
    del row
    return TITLE


def parse(row: Mapping[str, Any]) -> Item:
    """The item of one row: responses are (preferred, not preferred)."""
    given = row.get("input")
    if not isinstance(given, dict):
        raise BadRow("input", f"An object {{messages, tools}} is expected here, not {kind_of(given)}.")
    asked = prompt(given.get("messages"), "input.messages")
    answers = [response(row.get(side), side) for side in ("preferred_output", "non_preferred_output")]
    refuse_equal(answers[0], answers[1], "non_preferred_output")
    facts = read_facts({name: value for name, value in row.items() if name not in _COLUMNS})
    extra = {
        name: storable(value, f"input.{name}")
        for name, value in given.items()
        if name != "messages" and value is not None and value != _DEFAULTS.get(name)
    }
    if extra:
        facts[RESERVED] = facts.get(RESERVED, {}) | extra
    return Item(asked, answers, (CHOSEN_FIRST,), facts)


def render(item: Item, style: str = "") -> dict[str, Any]:
    """The row of a decided pair (chosen first)."""
    del style
    preferred, other = ([written(one)] for one in item.responses)
    given = {**_DEFAULTS, "tools": item.facts.get(RESERVED, {}).get("tools", [])}
    return {
        "input": {"messages": [written(turn) for turn in item.prompt], **given},
        "preferred_output": preferred,
        "non_preferred_output": other,
    }
