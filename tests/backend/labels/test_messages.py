"""Messages as cards show them: reasoning apart, calls of tools readable, nothing that tells who wrote them."""

import json
from typing import Any

import pytest

from backend.labels.messages import shown


def said(**message: Any) -> Any:
    return shown({"role": "assistant", "content": "", **message})


def test_the_name_is_hidden() -> None:
    """A message's name may be its model's."""
    assert "gpt" not in said(content="Yes.", name="gpt-9").model_dump_json()


def test_reasoning_in_the_text_is_taken_apart() -> None:
    """What a model thought in front of its answer is folded as reasoning; the stored text stays whole."""
    message = said(content="<think>\nIt is **odd**.\n</think>\n\nSeven.")

    assert (message.reasoning, message.html) == ("It is **odd**.", "<p>Seven.</p>\n")
    assert message.text.startswith("<think>")


@pytest.mark.parametrize("content", ["<think>never closed", "An answer <think>in between</think> goes on"])
def test_only_a_whole_thought_in_front_is_taken_apart(content: str) -> None:
    """Nobody judges a response of which a part is folded away by mistake."""
    message = said(content=content)

    assert message.reasoning is None
    assert "&lt;think&gt;" in message.html


@pytest.mark.parametrize("as_text", [True, False])
def test_calls_are_names_and_arguments(as_text: bool) -> None:
    """Arguments are read from an object and from its JSON; texts stand without quotes, all else as JSON in lines."""
    arguments = {"city": "Zürich", "days": [1, 2], "exact": True}
    given = json.dumps(arguments) if as_text else arguments
    stored = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": given}}

    (call,) = said(tool_calls=[stored]).tool_calls

    assert call.name == "weather"
    assert [(one.name, one.text) for one in call.arguments] == [
        ("city", "Zürich"),
        ("days", "[\n  1,\n  2\n]"),
        ("exact", "true"),
    ]


@pytest.mark.parametrize(
    "call",
    ["text", 7, None, [], {"function": None}, {"function": {"name": 3}}, {"name": "f", "arguments": "{not json"}],
)
def test_a_strange_call_stands_as_it_is(call: Any) -> None:
    """Whatever an import stored as a call, the card can be drawn."""
    (drawn,) = said(tool_calls=[call]).tool_calls

    assert drawn.arguments[0].name is None


def test_a_tools_result_is_laid_out() -> None:
    """JSON that a tool gave back has a line for each part and stays text; other results are set as usual."""
    assert (
        shown({"role": "tool", "content": '{"a": "<b>"}'}).html
        == "<pre>{\n  &quot;a&quot;: &quot;&lt;b&gt;&quot;\n}</pre>"
    )
    assert shown({"role": "tool", "content": "**warm**"}).html == "<p><strong>warm</strong></p>\n"
    assert "[[" in shown({"role": "tool", "content": "[" * 100_000}).html


def test_characters_that_deceive_are_written_out_everywhere() -> None:
    """Reasoning and calls are no Markdown, and still nothing in them may turn the order of what is read."""
    turned = "\u202eabc"
    message = said(
        content=turned, reasoning=turned, tool_calls=[{"function": {"name": turned, "arguments": {turned: turned}}}]
    )

    assert "\u202e" not in message.model_dump_json(exclude={"text"})
    assert message.text == turned
