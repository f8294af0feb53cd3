"""Chat messages as token ids: where a prompt ends, what a response is, and which tokens end it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ChatMessage = Mapping[str, Any]


class TemplateNotPrefixSafe(ValueError):
    """The chat template writes a prompt differently once its answer follows, so no response can be cut out."""


class UnsupportedContent(ValueError):
    """A message holds something other than text."""


def render_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Sequence[ChatMessage]) -> str:
    """The prompt's text up to where the assistant begins to speak."""
    return _render(tokenizer, prompt, opened=True)


def render_response(
    tokenizer: PreTrainedTokenizerBase, prompt: Sequence[ChatMessage], prompt_text: str, answer: ChatMessage
) -> str:
    """The text that the template writes for the answer after `prompt_text`, its end marker included.

    Raises TemplateNotPrefixSafe when the rendered dialogue does not begin with the rendered prompt.
    """
    whole = _render(tokenizer, [*prompt, answer], opened=False)
    if not whole.startswith(prompt_text):
        raise TemplateNotPrefixSafe("the chat template renders the prompt differently when an answer follows it")
    return whole[len(prompt_text) :]


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of rendered texts; the template has already written every special token."""
    if not texts:
        return []
    ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False)["input_ids"]
    return ids


def end_with_end(response: list[int], ends: frozenset[int], end: int) -> list[int]:
    """The response up to and including its last end token (whitespace that a template adds is cut), else with one."""
    for position in range(len(response) - 1, max(len(response) - 4, -1), -1):
        if response[position] in ends:
            return response[: position + 1]
    return [*response, end]


def end_tokens(tokenizer: PreTrainedTokenizerBase, config: object = None) -> frozenset[int]:
    """Every token that ends a response: the tokenizer's, the model's, and the one the template writes after a turn."""
    ends: set[int] = set()
    configured = None if config is None else getattr(config, "eos_token_id", None)
    for found in (tokenizer.eos_token_id, configured):
        ends.update([found] if isinstance(found, int) else found or [])
    question: ChatMessage = {"role": "user", "content": "x"}
    prompt = render_prompt(tokenizer, [question])
    try:
        tail = render_response(tokenizer, [question], prompt, {"role": "assistant", "content": "x"})
    except TemplateNotPrefixSafe:
        tail = ""
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    for token in encode(tokenizer, [tail.partition("x")[2]])[0]:
        if token in special:
            ends.add(token)
            break
    return frozenset(ends)


def _render(tokenizer: PreTrainedTokenizerBase, messages: Sequence[ChatMessage], *, opened: bool) -> str:
    plain = [{**message, "content": text_of(message["content"])} for message in messages]
    rendered = tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=opened)
    return str(rendered)


def text_of(content: Any) -> str:
    """The text of a message's content, whole or in parts.  Raises UnsupportedContent."""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence) and all(
        isinstance(part, Mapping) and part.get("type") == "text" for part in content
    ):
        return "".join(part["text"] for part in content)
    raise UnsupportedContent("only text can be trained on and answered")
