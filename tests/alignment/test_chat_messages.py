"""Reasoning, system messages and tools: what a template does with them is learned, counted or refused, never lost."""

from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from alignment.training.errors import BadData
from tests.alignment.chat_tokenizers import trained
from tests.alignment.chats import ANSWER, CALL, DIALOGUE, NAMED, TOOLS, Messages, encode, encoded, text

# ---- reasoning ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "answer", "written"),
    [
        ("qwen3", {"reasoning": "Clouds?"}, "<think>\nClouds?\n</think>\n\nNo rain today.<|im_end|>"),
        ("deepseek-r1", {"reasoning": "Clouds?"}, "Clouds?\n</think>\n\nNo rain today.</s>"),
        ("deepseek-r1", {"content": "<think>\nClouds?\n</think>\n\nNo."}, "Clouds?\n</think>\n\nNo.</s>"),
        ("deepseek-r1", {"content": "Clouds?</think>No."}, "Clouds?\n</think>\n\nNo.</s>"),
    ],
)
def test_reasoning_is_learned_where_generation_would_write_it(name: str, answer: dict[str, Any], written: str) -> None:
    """It is not written twice where the prompt opens it, and never lost where the template drops it."""
    family = NAMED[name]
    example = encoded(family, DIALOGUE, {**ANSWER, **answer})

    assert text(family.tokenizer, example.prompt) == family.prompt
    assert text(family.tokenizer, example.responses[0]) == written


@pytest.mark.parametrize("name", ["qwen3", "deepseek-r1"])
def test_reasoning_of_earlier_turns_is_in_no_prompt(name: str) -> None:
    """Generation would not see it either."""
    family = NAMED[name]
    spoken = {"role": "assistant", "content": "<think>\nWarm.\n</think>\n\nYes, very.", "reasoning": "Warm."}

    example = encoded(family, [DIALOGUE[0], spoken, DIALOGUE[2]])

    assert text(family.tokenizer, example.prompt) == family.prompt


def test_reasoning_that_a_template_has_no_place_for_is_counted() -> None:
    """It is left out, and said so."""
    found = encode(NAMED["gemma"].tokenizer, DIALOGUE, {**ANSWER, "reasoning": "Clouds?"})

    assert found.counts["reasonings_left_out"] == 1
    assert len(found.train) == 1


# ---- system messages and tools --------------------------------------------------------------------------------------

SYSTEM = {"role": "system", "content": "Speak softly."}
TOOL_TOKENS = ("<|end|>", "<|user|>", "<|assistant|>", "<|tool|>", "<call>")
LOOKED_UP: Messages = [
    DIALOGUE[0],
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": '{"rain": 0}', "tool_call_id": "1"},
]


@pytest.fixture
def caller() -> PreTrainedTokenizerBase:
    """A tokenizer whose template writes calls of tools and what they answered."""
    tokenizer = trained(TOOL_TOKENS, None, False)
    tokenizer.chat_template = TOOLS
    return tokenizer


@pytest.mark.parametrize("name", ["qwen2", "zephyr", "deepseek-r1"])
def test_a_system_message_is_part_of_the_prompt(name: str) -> None:
    """Or, where the template has no place for it, is left out and counted."""
    family = NAMED[name]
    found = encode(family.tokenizer, [SYSTEM, *DIALOGUE])

    told = "Speak softly." in text(family.tokenizer, found.train[0].prompt)
    assert found.counts["systems_left_out"] == (0 if told else 1)
    assert "Be kind." not in text(family.tokenizer, found.train[0].prompt)


@pytest.mark.parametrize(
    ("name", "prompt", "words"),
    [
        ("gemma", [SYSTEM, *DIALOGUE], "System role not supported"),
        ("mistral", DIALOGUE[:2] * 2 + DIALOGUE[1:], "Roles must alternate"),
        ("phi3", LOOKED_UP, "leaves out the call of the tool sky"),
    ],
)
def test_a_dialogue_that_the_template_cannot_write_is_refused_by_name(name: str, prompt: Messages, words: str) -> None:
    """The example is named, and the template's own reason told."""
    with pytest.raises(BadData, match=f"Example p: .*{words}") as refused:
        encode(NAMED[name].tokenizer, prompt)

    assert "chat template" in refused.value.remedy


def test_calls_of_tools_are_written_with_their_arguments_and_results(caller: PreTrainedTokenizerBase) -> None:
    """Arguments that a file gives as the text of an object are one, so that no template quotes them twice."""
    (example,) = encode(caller, LOOKED_UP).train

    assert text(caller, example.prompt) == (
        '<|user|>Is it warm?<|end|>\n<|assistant|><call>{"name": "sky", "arguments": {"city": "Ulm"}}<|end|>\n'
        '<|tool|>"{\\"rain\\": 0}"<|end|>\n<|assistant|>'
    )
    assert text(caller, example.responses[0]) == "No rain today.<|end|>"


def test_a_call_can_be_the_answer(caller: PreTrainedTokenizerBase) -> None:
    """What the model must write to call a tool is learned, its end included."""
    (example,) = encode(caller, DIALOGUE, {"role": "assistant", "content": "", "tool_calls": [CALL]}).train

    assert text(caller, example.responses[0]) == '<call>{"name": "sky", "arguments": {"city": "Ulm"}}<|end|>'


def test_a_call_that_the_template_leaves_out_is_no_answer() -> None:
    """Else the model would learn to say nothing."""
    with pytest.raises(BadData, match="leaves out the call of the tool sky"):
        encode(NAMED["qwen2"].tokenizer, DIALOGUE, {**ANSWER, "tool_calls": [CALL]})
