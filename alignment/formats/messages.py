"""Reading one message, prompt or response of a file, whatever tool wrote it; and writing a message again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from alignment.formats.canonical import PARTS, ROLES, BadRow, Message, excerpt, kind_of, storable, text

_MESSAGE_KEYS: Final = frozenset({"role", "content", "reasoning", "tool_calls", "tool_call_id", "name"})
_SAME_KEY: Final = {"reasoning_content": "reasoning", "thinking": "reasoning"}  # what other tools call it


def message(value: Any, field: str) -> Message:
    """One chat message from `{role, content, …}`; content may be a list of parts, and a developer is the system."""
    if type(value) is not dict:
        raise BadRow(field, f"A message {{role, content}} is expected here, not {kind_of(value)}.")
    role = value.get("role")
    if role == "developer":
        role = "system"
    if type(role) is not str or role not in ROLES:
        raise BadRow(f"{field}.role", f"The role must be one of {', '.join(sorted(ROLES))}, not {excerpt(role)}.")
    if "content" not in value and "tool_calls" not in value:
        raise BadRow(f"{field}.content", "The message has no content.")
    content = value.get("content")
    if type(content) is not str:
        return _with_extras(value, _in_parts(role, content, f"{field}.content"), field)
    if "\x00" in content:
        text(content, f"{field}.content")
    if len(value) == 2:
        return {"role": role, "content": content}
    return _with_extras(value, {"role": role, "content": content}, field)


def _with_extras(value: Mapping[str, Any], plain: Message, field: str) -> Message:
    """The message with the optional keys it carries; absent is the same as null."""
    for key, extra in value.items():
        if key in ("role", "content") or extra is None:
            continue
        key = _SAME_KEY.get(key, key)
        if key not in _MESSAGE_KEYS:
            raise BadRow(f"{field}.{key}", f"A message has no key {excerpt(key)}; it has {_names(_MESSAGE_KEYS)}.")
        if key == "tool_calls":
            if type(extra) is not list:
                raise BadRow(f"{field}.tool_calls", "A list of tool calls is expected here.")
            if extra:
                plain["tool_calls"] = storable(extra, f"{field}.tool_calls")
        else:
            cast(dict[str, Any], plain)[key] = text(extra, f"{field}.{key}")
    return plain


def _in_parts(role: str, content: Any, field: str) -> Message:
    """The message whose content is nothing or a list of parts; a lone text part is a text like any other."""
    if content is None:
        return {"role": role, "content": ""}
    if type(content) is not list:
        raise BadRow(field, f"Text or a list of parts is expected here, not {kind_of(content)}.")
    texts = []
    for index, part in enumerate(content):
        if type(part) is not dict or part.get("type") not in PARTS:
            raise BadRow(f"{field}[{index}]", f"A part is {{type, …}} with a type of {_names(PARTS)}.")
        if part["type"] == "text":
            texts.append(text(part.get("text"), f"{field}[{index}].text"))
        storable(part, f"{field}[{index}]")
    plain: Message = {"role": role, "content": "".join(texts)}
    if len(content) > 1 or len(texts) != len(content) or (content and len(content[0]) > 2):
        plain["parts"] = content
    return plain


def prompt(value: Any, field: str = "prompt") -> list[Message]:
    """A prompt from a text or a list of messages: a system turn only at the start, the last not the assistant's."""
    if type(value) is str:
        value = [{"role": "user", "content": value}]
    if type(value) is not list:
        raise BadRow(field, f"The prompt must be a text or a list of messages, not {kind_of(value)}.")
    if not value:
        raise BadRow(field, "The prompt is empty.")
    messages = [message(turn, f"{field}[{index}]") for index, turn in enumerate(value)]
    for index in range(1, len(messages)):
        if messages[index]["role"] == "system":
            raise BadRow(f"{field}[{index}].role", "A system message may stand only at the start.")
    last = messages[-1]
    if last["role"] not in ("user", "tool"):
        raise BadRow(field, f"The prompt must end with the turn of the user or of a tool, not with {last['role']}.")
    if last["role"] == "user" and not last["content"].strip() and "parts" not in last:
        raise BadRow(field, "The user's last turn is empty.")
    return messages


def response(value: Any, field: str) -> Message:
    """An assistant message from a text, a message, or a list of exactly one message."""
    if type(value) is list:
        if len(value) != 1:
            raise BadRow(field, f"Exactly one assistant message is expected here, not {len(value)} messages.")
        value = value[0]
    answer: Message = (
        {"role": "assistant", "content": text(value, field)} if type(value) is str else message(value, field)
    )
    if answer["role"] != "assistant":
        raise BadRow(field, f"The response must come from the assistant, not from {answer['role']}.")
    if not answer["content"].strip() and not answer.get("tool_calls") and "parts" not in answer:
        raise BadRow(field, "The response is empty.")
    return answer


def refuse_equal(first: Message, second: Message, field: str) -> None:
    """Raise BadRow when the two responses say the same (spaces around them aside)."""
    if first["content"].strip() == second["content"].strip() and all(
        first.get(name) == second.get(name) for name in ("tool_calls", "parts")
    ):
        raise BadRow(field, "Both responses are the same, so there is nothing to prefer.")


def _names(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def written(turn: Message, reasoning: str = "reasoning") -> dict[str, Any]:
    """The message as chat files hold it: `content` is the list of parts where there are any.

    `reasoning` is the key under which the tool that will read it expects the reasoning.
    """
    row: dict[str, Any] = {**turn}
    if "parts" in row:
        row["content"] = row.pop("parts")
    if reasoning != "reasoning" and "reasoning" in row:
        row[reasoning] = row.pop("reasoning")
    return row
