"""One chat message as pages show it: text by the safe renderer, reasoning apart, calls of tools by argument."""

import json
import re
from typing import Any

from backend.labels.schemas import ShownArgument, ShownCall, ShownMessage
from backend.render import clear, plain, render

# Models that write their reasoning into the text do it in front, in a tag of its own.
_THOUGHT = re.compile(r"\s*<(think|thinking|reasoning)>(.*?)</\1>\s*", re.DOTALL)


def shown(message: dict[str, Any]) -> ShownMessage:
    """Role and text; a message's `name` may be a model's and stays hidden."""
    content: str = message["content"]
    reasoning: str | None = message.get("reasoning")
    answer = content
    if reasoning is None and (found := _THOUGHT.match(content)):
        reasoning, answer = found.group(2).strip() or None, content[found.end() :]
    return ShownMessage(
        role=message["role"],
        html=_result(answer) if message["role"] == "tool" else render(answer),
        text=content,
        reasoning=reasoning and clear(reasoning),
        tool_calls=[_call(one) for one in message["tool_calls"]] if message.get("tool_calls") else None,
    )


def _result(content: str) -> str:
    """What a tool gave back: JSON laid out in lines, everything else as text of the usual kind."""
    try:
        given = json.loads(content)
    except (ValueError, RecursionError):
        return render(content)
    return plain(_lines(given)) if isinstance(given, dict | list) else render(content)


def _call(call: Any) -> ShownCall:
    """A call as name and arguments; one that is written in an unknown way stands there as it is."""
    function = call.get("function", call) if isinstance(call, dict) else call
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return ShownCall(name=None, arguments=[ShownArgument(name=None, text=_lines(call))])
    given = function.get("arguments", {})
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            return ShownCall(name=clear(function["name"]), arguments=[ShownArgument(name=None, text=clear(given))])
    if not isinstance(given, dict):
        return ShownCall(name=clear(function["name"]), arguments=[ShownArgument(name=None, text=_lines(given))])
    named = [ShownArgument(name=clear(name), text=_lines(value)) for name, value in given.items()]
    return ShownCall(name=clear(function["name"]), arguments=named)


def _lines(value: Any) -> str:
    """A text as it is, everything else as JSON with a line for each part."""
    return clear(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2))
