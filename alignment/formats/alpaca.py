"""Alpaca rows as LLaMA-Factory reads them: `instruction`, `input`, `history`, with chosen and rejected for ranking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from alignment.formats.canonical import CHOSEN_FIRST, BadRow, Item, Message, kind_of, text
from alignment.formats.facts import check_scores
from alignment.formats.losses import FACT_COLUMNS
from alignment.formats.messages import prompt, refuse_equal, response
from alignment.formats.sharegpt import rest, side

NAME: Final = "alpaca"
TITLE: Final = "Alpaca (LLaMA-Factory)"
KINDS: Final = frozenset({"paired", "demonstrations"})
HOLDS: Final = frozenset({"system", "turns", "edges"}) | FACT_COLUMNS
STYLES: Final = {"": HOLDS}
DECIDED: Final = True
NOTES: Final = ("Earlier turns must take turns: a person, then the assistant; others are left out.",)
EXAMPLE: Final = '{"instruction":"Name a color.","input":"","chosen":"Red.","rejected":"Seven."}'
COLUMNS: Final = frozenset(
    {"instruction", "input", "system", "history", "output", "chosen", "rejected", "kto_tag", "tools", "conversations"}
)


def claims(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like this format."""
    return "instruction" in row and "kto_tag" not in row and ("output" in row or "chosen" in row)


def describe(row: Mapping[str, Any]) -> str:
    """What a person should read about this row's format."""
    return f"{TITLE}, ranking" if "chosen" in row else TITLE


def parse(row: Mapping[str, Any]) -> Item:
    """A pair where there are chosen and rejected; else the output is a demonstration."""
    asked, facts = question(row), beside(row)
    if row.get("chosen") is None and row.get("rejected") is None:
        check_scores(facts, 1)
        return Item(asked, [response(row.get("output"), "output")], (), facts)
    answers = [response(row.get(name), name) for name in ("chosen", "rejected")]
    refuse_equal(answers[0], answers[1], "rejected")
    check_scores(facts, 2)
    return Item(asked, answers, (CHOSEN_FIRST,), facts)


def question(row: Mapping[str, Any]) -> list[Message]:
    """The prompt: system, history, then instruction and input on lines of their own."""
    turns: list[dict[str, Any]] = []
    if row.get("system"):
        turns.append({"role": "system", "content": row["system"]})
    history = row.get("history") or []
    if not isinstance(history, list):
        raise BadRow("history", f"A list of [question, answer] is expected here, not {kind_of(history)}.")
    for index, pair in enumerate(history):
        if not isinstance(pair, list) or len(pair) != 2:
            raise BadRow(f"history[{index}]", "A pair [question, answer] is expected here.")
        turns += [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]
    said = [text(row.get(name) or "", name) for name in ("instruction", "input")]
    turns.append({"role": "user", "content": "\n".join(part for part in said if part)})
    return prompt(turns, "instruction")


def beside(row: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a row."""
    return rest({name: value for name, value in row.items() if name not in COLUMNS or name == "tools"})


def render(item: Item, style: str = "") -> dict[str, Any]:
    """The row of a decided pair (chosen first) or of a demonstration."""
    del style
    row = asked(item.prompt)
    if len(item.responses) == 1:
        row["output"] = item.responses[0]["content"]
    else:
        row["chosen"], row["rejected"] = (one["content"] for one in item.responses)
    return row | side(item.facts, COLUMNS)


def asked(turns: list[Message]) -> dict[str, Any]:
    """The columns of a prompt.  Raises BadRow when its turns do not take turns."""
    row: dict[str, Any] = {"instruction": turns[-1]["content"], "input": ""}
    before = turns[:-1]
    if before and before[0]["role"] == "system":
        row["system"], before = before[0]["content"], before[1:]
    if [turn["role"] for turn in before] != ["user", "assistant"] * (len(before) // 2):
        raise BadRow("history", "The earlier turns do not take turns.")
    if "system" in row and not row["system"]:
        raise BadRow("system", "The system turn is empty.")
    if before:
        row["history"] = [
            [one["content"], other["content"]] for one, other in zip(before[::2], before[1::2], strict=True)
        ]
    return row
