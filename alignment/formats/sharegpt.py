"""ShareGPT rows as LLaMA-Factory reads them: `conversations` of `{from, value}`, for ranking with two answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import orjson

from alignment.formats.calls import call_texts, call_turn
from alignment.formats.canonical import CHOSEN_FIRST, BadRow, Item, Message, excerpt, kind_of, text
from alignment.formats.facts import RESERVED, check_scores, columns, read_facts
from alignment.formats.losses import FACT_COLUMNS
from alignment.formats.messages import prompt, refuse_equal, response

NAME: Final = "sharegpt"
TITLE: Final = "ShareGPT (LLaMA-Factory)"
KINDS: Final = frozenset({"paired", "demonstrations", "prompts"})
HOLDS: Final = frozenset({"system", "turns", "tool_calls", "tool_turns", "edges"}) | FACT_COLUMNS
STYLES: Final = {"": HOLDS}
DECIDED: Final = True
NOTES: Final = ("A turn that both speaks and calls a tool is left out; a tool call must be a function.",)
EXAMPLE: Final = (
    '{"conversations":[{"from":"human","value":"Name a color."}],"chosen":{"from":"gpt","value":"Red."},'
    '"rejected":{"from":"gpt","value":"Seven."}}'
)
COLUMNS: Final = frozenset({"conversations", "chosen", "rejected", "system", "tools", "kto_tag", "instruction"})
_ROLE: Final = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard"), "assistant"),
    **dict.fromkeys(("observation", "tool"), "tool"),
    "system": "system",
    "function_call": "function_call",
}
_NAME: Final = {"user": "human", "assistant": "gpt", "tool": "observation", "system": "system"}


def claims(row: Mapping[str, Any]) -> bool:
    """Whether a row looks like this format."""
    given = row.get("conversations")
    plain = isinstance(given, list) and all(isinstance(turn, dict) and "from" in turn for turn in given)
    return plain and bool(given) and "kto_tag" not in row


def describe(row: Mapping[str, Any]) -> str:
    """What a person should read about this row's format."""
    return f"{TITLE}, ranking" if "chosen" in row else TITLE


def parse(row: Mapping[str, Any]) -> Item:
    """A pair where there are chosen and rejected; else the last turn of the assistant is a demonstration."""
    before = turns(row)
    facts = rest(row)
    if row.get("chosen") is None and row.get("rejected") is None:
        if before and before[-1]["role"] == "assistant":
            check_scores(facts, 1)
            return Item(prompt(before[:-1], "conversations"), [response([before[-1]], "conversations")], (), facts)
        return Item(prompt(before, "conversations"), [], (), facts)
    answers = [response([turn(row.get(side), side)], side) for side in ("chosen", "rejected")]
    refuse_equal(answers[0], answers[1], "rejected")
    check_scores(facts, 2)
    return Item(prompt(before, "conversations"), answers, (CHOSEN_FIRST,), facts)


def turns(row: Mapping[str, Any]) -> list[Message]:
    """The messages of `conversations`, after the system turn of a column of its own."""
    given = row.get("conversations")
    if not isinstance(given, list):
        raise BadRow("conversations", f"A list of turns is expected here, not {kind_of(given)}.")
    said = [turn(one, f"conversations[{index}]") for index, one in enumerate(given)]
    if row.get("system"):
        said.insert(0, {"role": "system", "content": text(row["system"], "system")})
    return said


def turn(value: Any, field: str) -> Message:
    """The message of one `{from, value}`."""
    if not isinstance(value, dict) or "value" not in value:
        raise BadRow(field, f"A turn {{from, value}} is expected here, not {kind_of(value)}.")
    role = _ROLE.get(value["from"]) if isinstance(value.get("from"), str) else None
    if role is None:
        raise BadRow(
            f"{field}.from", f"The speaker must be one of {', '.join(_ROLE)}, not {excerpt(value.get('from'))}."
        )
    if role == "function_call":
        return call_turn(value["value"], f"{field}.value")
    return {"role": role, "content": text(value["value"], f"{field}.value")}


def rest(row: Mapping[str, Any]) -> dict[str, Any]:
    """Facts, and the definitions of tools, which LLaMA-Factory keeps as the text of their JSON."""
    facts = read_facts({name: value for name, value in row.items() if name not in COLUMNS})
    if row.get("tools"):
        facts[RESERVED] = facts.get(RESERVED, {}) | {"tools": tools(row["tools"])}
    return facts


def tools(value: Any) -> Any:
    """The definitions themselves, where they are the text of a JSON list."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return text(value, "tools")
    return value


def render(item: Item, style: str = "") -> dict[str, Any]:
    """The row of a decided pair (chosen first), of a demonstration or of a prompt."""
    del style
    row: dict[str, Any] = {"conversations": said(item.prompt)}
    if len(item.responses) == 1:
        row["conversations"] += said(item.responses)
    elif item.responses:
        row["chosen"], row["rejected"] = said(item.responses)
    return row | side(item.facts, COLUMNS)


def said(messages: Sequence[Message]) -> list[dict[str, str]]:
    """The messages as `{from, value}`.  Raises BadRow."""
    found = []
    for one in messages:
        if "tool_calls" in one:
            calls = call_texts(one, "conversations")
            found.append({"from": "function_call", "value": calls[0] if len(calls) == 1 else f"[{','.join(calls)}]"})
        else:
            found.append({"from": _NAME[one["role"]], "value": one["content"]})
    return found


def side(facts: Mapping[str, Any], reserved: Collection[str]) -> dict[str, Any]:
    """The columns beside the conversation."""
    found = columns(facts, reserved)
    if (given := facts.get(RESERVED, {}).get("tools")) is not None:
        found[RESERVED] = {name: value for name, value in found[RESERVED].items() if name != "tools"}
        if not found[RESERVED]:
            del found[RESERVED]
        found["tools"] = given if isinstance(given, str) else orjson.dumps(given).decode()
    return found
