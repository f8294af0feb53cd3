"""ms-swift rows: `messages` that end with the answer, and the rejected one beside it as a text or as messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from alignment.formats.calls import call_texts, call_turn
from alignment.formats.canonical import CHOSEN_FIRST, BadRow, Item, Message, kind_of
from alignment.formats.facts import RESERVED, check_scores, columns, read_facts
from alignment.formats.losses import FACT_COLUMNS
from alignment.formats.messages import message, prompt, refuse_equal, response, written

NAME: Final = "ms_swift"
TITLE: Final = "ms-swift messages"
KINDS: Final = frozenset({"paired", "unpaired", "demonstrations", "prompts"})
_HELD: Final = frozenset({"system", "turns", "tool_calls", "tool_turns", "edges"}) | FACT_COLUMNS
STYLES: Final = {"rejected_response": _HELD, "rejected_messages": _HELD}
DECIDED: Final = True
NOTES: Final = (
    "A rejected answer that calls a tool needs the style rejected_messages.",
    "A turn that both speaks and calls a tool is left out; a tool call must be a function.",
)
EXAMPLE: Final = (
    '{"messages":[{"role":"user","content":"Name a color."},{"role":"assistant","content":"Red."}],'
    '"rejected_response":"Seven."}'
)
_COLUMNS: Final = frozenset({"messages", "rejected_response", "rejected_messages", "label", "kto_tag"})


def claims(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like this format."""
    given = row.get("messages")
    plain = isinstance(given, list) and all(isinstance(turn, dict) and "role" in turn for turn in given)
    return plain and bool(given) and row.keys().isdisjoint({"prompt", "chosen", "kto_tag"})


def describe(row: Mapping[str, Any]) -> str:
    """What a person should read about this row's format."""
    if "rejected_response" in row or "rejected_messages" in row:
        return f"{TITLE}, preference"
    return f"{TITLE}, KTO" if isinstance(row.get("label"), bool) else TITLE


def parse(row: Mapping[str, Any]) -> Item:
    """A pair where there is a rejected side; else an answer with or without a thumb, or a bare prompt."""
    turns = _turns(row.get("messages"), "messages")
    facts = read_facts({name: value for name, value in row.items() if name not in _COLUMNS})
    if row.get("rejected_response") is not None or row.get("rejected_messages") is not None:
        asked, chosen = prompt(turns[:-1], "messages"), response(turns[-1:], "messages")
        rejected = _rejected(row, turns)
        refuse_equal(chosen, rejected, "rejected_response")
        check_scores(facts, 2)
        return Item(asked, [chosen, rejected], (CHOSEN_FIRST,), facts)
    if not turns or turns[-1]["role"] != "assistant":
        return Item(prompt(turns, "messages"), [], (), facts)
    check_scores(facts, 1)
    label = row.get("label")
    if label is not None:
        if not isinstance(label, bool):
            raise BadRow("label", f"True or false is expected here, not {kind_of(label)}.")
        facts["desirable"] = label
    return Item(prompt(turns[:-1], "messages"), [response(turns[-1:], "messages")], (), facts)


def _rejected(row: Mapping[str, Any], turns: list[Message]) -> Message:
    whole = row.get("rejected_messages")
    if whole is None:
        return response(row["rejected_response"], "rejected_response")
    given = _turns(whole, "rejected_messages")
    if given[:-1] != turns[:-1]:
        raise BadRow("rejected_messages", "The conversations differ before their last answer.")
    return response(given[-1:], "rejected_messages")


def _turns(value: Any, field: str) -> list[Message]:
    """The messages; calls that follow each other as turns of their own are one message."""
    if not isinstance(value, list):
        raise BadRow(field, f"A list of messages is expected here, not {kind_of(value)}.")
    found: list[Message] = []
    calling = False
    for index, turn in enumerate(value):
        place = f"{field}[{index}]"
        role = turn.get("role") if isinstance(turn, dict) else None
        if role == "tool_call":
            call = call_turn(turn.get("content"), f"{place}.content")
            if calling:
                found[-1]["tool_calls"] += call["tool_calls"]
            else:
                found.append(call)
        else:
            found.append(message({**turn, "role": "tool"} if role == "tool_response" else turn, place))
        calling = role == "tool_call"
    return found


def render(item: Item, style: str = "rejected_response") -> dict[str, Any]:
    """The row of a decided pair (chosen first), of an answer, or of a prompt."""
    before = _said(item.prompt)
    row: dict[str, Any] = {"messages": before + _said(item.responses[:1])}
    if len(item.responses) == 2:
        if style == "rejected_messages":
            row["rejected_messages"] = before + _said(item.responses[1:])
        elif "tool_calls" in item.responses[1]:
            raise BadRow("rejected_response", "A rejected answer that calls a tool needs the style rejected_messages.")
        else:
            row["rejected_response"] = item.responses[1]["content"]
    facts = item.facts
    if "desirable" in facts and len(item.responses) == 1:
        row["label"] = facts["desirable"]
        facts = {name: value for name, value in facts.items() if name != "desirable"}
    return row | columns(facts, _COLUMNS | {"prompt", "chosen", RESERVED})


def _said(turns: Sequence[Message]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for turn in turns:
        if "tool_calls" in turn:
            if found and found[-1]["role"] == "tool_call":
                raise BadRow("messages", "Calls in two turns that follow each other cannot be told apart.")
            found += [{"role": "tool_call", "content": call} for call in call_texts(turn, "messages")]
        elif turn["role"] == "tool":
            found.append({"role": "tool_response", "content": turn["content"]})
        else:
            found.append(written(turn))
    return found
