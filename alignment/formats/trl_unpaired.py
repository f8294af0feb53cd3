"""TRL's rows of one completion: with a label (unpaired preference, KTO), or without (a demonstration)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from alignment.formats.canonical import BadRow, Item, kind_of
from alignment.formats.facts import check_scores, columns, read_facts
from alignment.formats.losses import CHAT, FACT_COLUMNS
from alignment.formats.messages import prompt, response, written

NAME: Final = "trl_unpaired"
TITLE: Final = "TRL completions (unpaired preference)"
KINDS: Final = frozenset({"unpaired", "demonstrations"})
STYLES: Final = {
    "conversational": CHAT | FACT_COLUMNS,
    "standard": frozenset({"edges"}) | FACT_COLUMNS,
}
DECIDED: Final = True
NOTES: Final = ()
EXAMPLE: Final = '{"prompt":"The sky is","completion":" blue.","label":true}'
_COLUMNS: Final = frozenset({"prompt", "completion", "label"})


def claims(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like this format."""
    return "prompt" in row and "completion" in row


def describe(row: Mapping[str, Any]) -> str:
    """What a person should read about this row's format."""
    shape = "conversational" if isinstance(row.get("completion"), list) else "standard"
    return f"TRL unpaired preference ({shape})" if "label" in row else f"TRL prompt and completion ({shape})"


def parse(row: Mapping[str, Any]) -> Item:
    """The item of one row: one answer, with a thumb where there is a label."""
    facts = read_facts({name: value for name, value in row.items() if name not in _COLUMNS})
    check_scores(facts, 1)
    label = row.get("label")
    if label is not None:
        if not isinstance(label, bool):
            raise BadRow("label", f"True or false is expected here, not {kind_of(label)}.")
        facts["desirable"] = label
    return Item(prompt(row.get("prompt")), [response(row.get("completion"), "completion")], (), facts)


def render(item: Item, style: str = "conversational") -> dict[str, Any]:
    """The row of an answer with or without a thumb; other facts become columns."""
    facts = item.facts
    row: dict[str, Any] = {}
    if "desirable" in facts:
        row["label"] = facts["desirable"]
        facts = {name: value for name, value in facts.items() if name != "desirable"}
    row |= columns(facts, _COLUMNS)
    if style == "standard":
        return row | {"prompt": item.prompt[0]["content"], "completion": item.responses[0]["content"]}
    asked = [written(turn, "reasoning_content") for turn in item.prompt]
    return row | {"prompt": asked, "completion": [written(item.responses[0], "reasoning_content")]}
