"""Where a prompt ends and what follows it, as text: what generation is given, and what it would then have to write.

The prompt is always the template's own for generation (`add_generation_prompt`), whatever the template writes once an
answer follows. The response is what the template writes after that prompt; where the two disagree it is cut out of the
whole dialogue around the answer, which is found by putting two other answers in its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Message = Mapping[str, Any]
Render = Callable[[Sequence[Message], bool], str]
"""Text of a dialogue; the flag asks for the assistant's turn to be opened.  Raises Unwritable."""

STANDS_IN = ("Vmxw hqrb", "zpyk Jtgd")  # in place of an answer; their first and last letters differ
OPENED = re.compile(r"(?P<left>[<\[◁])(?P<name>[A-Za-z_]+)(?P<right>[>\]▷])\s*$")


class Unwritable(ValueError):
    """The template cannot write these messages; the text is a sentence for people without its full stop."""


class Turn(NamedTuple):
    """The text that generation starts from, and for each answer the text that follows it, its end included."""

    prompt: str
    responses: list[str]


def turn(render: Render, prompt: Sequence[Message], answers: Sequence[Message]) -> Turn:
    """The prompt and each of its answers.  Raises Unwritable."""
    text = render(prompt, True)
    _require_tools(prompt, text)
    return Turn(text, [_response(render, prompt, text, answer) for answer in answers])


def _response(render: Render, prompt: Sequence[Message], text: str, answer: Message) -> str:
    whole = render([*prompt, answer], False)
    found = whole[len(text) :] if whole.startswith(text) else _cut_out(render, prompt, text, answer, whole)
    _require_tools([answer], found)
    return found


def _cut_out(render: Render, prompt: Sequence[Message], text: str, answer: Message, whole: str) -> str:
    """The answer and its end out of a dialogue that does not begin with the prompt as generation is given it."""
    head, tail = _around(render, prompt, {"role": "assistant"})
    if not whole.startswith(head):
        head, tail = _around(render, prompt, answer)
    said = whole[len(head) : len(whole) - len(tail)]
    content = answer["content"].strip()
    known = content in said or (said.strip() and said.strip() in content) or answer.get("tool_calls")
    if not (whole.startswith(head) and whole.endswith(tail) and len(head) + len(tail) <= len(whole) and known):
        raise Unwritable(
            "the chat template writes the prompt differently once an answer follows, "
            "and not what the answer says, so no response can be cut out"
        )
    return _continued(text, said, answer) + tail


def _around(render: Render, prompt: Sequence[Message], like: Message) -> tuple[str, str]:
    """What the template writes before and after the content of an answer like this one."""
    one, other = (render([*prompt, {**like, "content": words}], False) for words in STANDS_IN)
    head, found, tail = one.rpartition(STANDS_IN[0])
    if not found or other != head + STANDS_IN[1] + tail:
        raise Unwritable("the chat template leaves out what the assistant says, or writes it more than once")
    return head, tail


def _continued(text: str, said: str, answer: Message) -> str:
    """`said` as it follows a prompt that opens a block of reasoning which the whole dialogue does not show.

    The reasoning comes first, then the block is closed; an answer without reasoning closes it at once.
    """
    opened = OPENED.search(text)
    if opened is None:
        return said
    opening, left, name, right = opened[0], *opened.group("left", "name", "right")
    tag, closing = f"{left}{name}{right}", f"{left}/{name}{right}"
    if closing in said:
        inside = said.lstrip()
        return inside[len(opening) :] if inside.startswith(opening) else inside.removeprefix(tag)
    content = answer["content"]
    before = content.partition(closing)[0] if closing in content else answer.get("reasoning") or ""
    reasoning = before.strip().removeprefix(tag).strip()
    return f"{reasoning}\n{closing}\n\n{said.lstrip()}"


def _require_tools(messages: Sequence[Message], text: str) -> None:
    """Raise Unwritable when the text lacks a call of a tool or what a tool answered."""
    for message in messages:
        for call in message.get("tool_calls") or ():
            name = called(call)
            if name is not None and name not in text:
                raise Unwritable(f"the chat template leaves out the call of the tool {name[:80]}")
        if message["role"] == "tool" and not holds(text, message["content"]):
            raise Unwritable("the chat template leaves out what a tool answered")


def called(call: Any) -> str | None:
    """The name of the function that a tool call names."""
    function = call.get("function", call) if isinstance(call, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else None


def holds(text: str, content: str) -> bool:
    """Whether the text holds the content, plainly or as a JSON string."""
    plain = content.strip()
    return plain in text or json.dumps(plain, ensure_ascii=False)[1:-1] in text or json.dumps(plain)[1:-1] in text
