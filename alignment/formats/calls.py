"""Tool calls as ShareGPT and ms-swift write them: a turn of its own whose text is the call's JSON."""

from __future__ import annotations

from typing import Any

import orjson

from alignment.formats.canonical import BadRow, Message, storable, text


def call_turn(value: Any, field: str) -> Message:
    """The assistant's message of a call `{name, arguments}`, or of a list of them."""
    try:
        given = orjson.loads(text(value, field))
    except orjson.JSONDecodeError:
        raise BadRow(field, "A tool call must be JSON {name, arguments}.") from None
    calls = given if isinstance(given, list) else [given]
    if not calls or not all(isinstance(call, dict) and call.keys() == {"name", "arguments"} for call in calls):
        raise BadRow(field, "A tool call must be JSON {name, arguments}, or a list of such.")
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": storable(call, field)} for call in calls],
    }


def call_texts(turn: Message, field: str) -> list[str]:
    """The JSON of each call of an assistant's message.  Raises BadRow for other calls, or for text beside them."""
    if turn["content"]:
        raise BadRow(field, "A turn that both speaks and calls a tool cannot be written.")
    functions = []
    for call in turn["tool_calls"]:
        match call:
            case {"type": "function", "function": {"name": _, "arguments": _, **more} as function, **rest} if not (
                rest or more
            ):
                functions.append(orjson.dumps(function).decode())
            case _:
                raise BadRow(field, "A tool call that is no plain function with name and arguments cannot be written.")
    return functions
