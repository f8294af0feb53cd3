"""Chat messages as token ids: where a prompt ends, what a response is, and which tokens end it.

The rule: the ids of a prompt are those that generation is given, to the last one, and the ids of a response are those
that generation would have to choose after them. So a token never spans both, special tokens are written by the
template alone (a tokenizer that would add a BOS of its own is told not to, as in transformers and vLLM), and a
response has one end: the first token at which generation would stop.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from alignment.rendering import RENDERER, Dialogue, TemplateRefused, TemplateStopped, Unrenderable, UnsupportedContent
from alignment.turns import Turn, holds

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = [
    "ChatMessage",
    "Dialogue",
    "TemplateRefused",
    "TemplateStopped",
    "Turn",
    "Unrenderable",
    "UnsupportedContent",
]

ChatMessage = Mapping[str, Any]
QUESTION: ChatMessage = {"role": "user", "content": "What is the sea?"}
ANSWER: ChatMessage = {"role": "assistant", "content": "The sea is wide."}
NEUTRAL = ("\n", "a", ".", "0")  # what a response may stand after without changing it


# ---- text -----------------------------------------------------------------------------------------------------------


def render_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Sequence[ChatMessage]) -> str:
    """The prompt's text up to where the assistant begins to speak.  Raises as `render`."""
    return render(tokenizer, [Dialogue(prompt)])[0].prompt


def render(tokenizer: PreTrainedTokenizerBase, dialogues: Sequence[Dialogue]) -> list[Turn]:
    """Prompts and their answers as the tokenizer's template writes them.  Raises as `write`."""
    try:
        template = tokenizer.get_chat_template()
    except ValueError as error:
        raise TemplateRefused("there is no chat template, or several and none is the default") from error
    return write(template, tokenizer.special_tokens_map, dialogues)


def write(template: str, names: Mapping[str, Any], dialogues: Sequence[Dialogue]) -> list[Turn]:
    """Prompts and their answers as a template writes them that knows these `names` of special tokens, rendered apart
    with limits.

    Raises UnsupportedContent, TemplateRefused for the first dialogue that cannot be written, TemplateStopped.
    """
    plain = [_plain(asked, index) for index, asked in enumerate(dialogues)]
    turns = RENDERER.render(template, names, plain)
    for index, (asked, turn) in enumerate(zip(plain, turns, strict=True)):
        if asked.opened and not turn.prompt:
            raise TemplateRefused("the chat template makes nothing of the prompt", index)
    return turns


def require_template(tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise TemplateRefused unless the template can write a question, ready to be answered."""
    if not holds(render_prompt(tokenizer, [QUESTION]), QUESTION["content"]):
        raise TemplateRefused("the chat template leaves out what the user said")


def _plain(asked: Dialogue, index: int) -> Dialogue:
    try:
        return Dialogue([_message(one) for one in asked.prompt], [_message(one) for one in asked.answers], asked.opened)
    except UnsupportedContent as error:
        error.index = index
        raise


def _message(message: ChatMessage) -> ChatMessage:
    """The message as templates expect it: its content a text, arguments of calls as objects."""
    given = message.get("parts") or message.get("content") or ""
    rest = {key: value for key, value in message.items() if key not in ("content", "parts") and value is not None}
    if rest.get("tool_calls"):
        rest["tool_calls"] = [_call(call) for call in rest["tool_calls"]]
    return {**rest, "content": text_of(given)}


def _call(call: Any) -> Any:
    """A tool call whose arguments, where they are the text of a JSON object, are that object."""
    if not isinstance(call, Mapping):
        return call
    if isinstance(call.get("function"), Mapping):
        return {**call, "function": _call(call["function"])}
    if not isinstance(call.get("arguments"), str):
        return call
    try:
        arguments = json.loads(call["arguments"])
    except ValueError:
        return call
    return {**call, "arguments": arguments} if isinstance(arguments, dict) else call


def text_of(content: Any) -> str:
    """The text of a message's content, whole or in parts.  Raises UnsupportedContent."""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence) and all(
        isinstance(part, Mapping) and part.get("type") == "text" for part in content
    ):
        return "".join(part["text"] for part in content)
    raise UnsupportedContent("only text can be trained on and answered")


# ---- token ids ------------------------------------------------------------------------------------------------------


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of rendered texts; the template has already written every special token."""
    if not texts:
        return []
    ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False)["input_ids"]
    return ids


def encode_responses(tokenizer: PreTrainedTokenizerBase, pairs: Sequence[tuple[str, str]]) -> list[list[int]]:
    """Token ids of the second text of each pair as they follow the ids of the first, a prompt.

    They are those of both texts together after the prompt's own. Where a token of both together spans the boundary,
    generation could not choose it, and the response is cut into tokens by itself.
    """
    marks = _marks(tuple(sorted(set(tokenizer.get_added_vocab()))))
    before = [_after_last(marks, prompt) for prompt, _ in pairs]
    known = dict(zip(dict.fromkeys(before), encode(tokenizer, list(dict.fromkeys(before))), strict=True))
    together = encode(tokenizer, [start + text for start, (_, text) in zip(before, pairs, strict=True)])
    found = []
    for start, ids, (_, text) in zip(before, together, pairs, strict=True):
        first = known[start]
        found.append(ids[len(first) :] if ids[: len(first)] == first else _alone(tokenizer, text))
    return found


def _alone(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """The text's ids without the space that some tokenizers put before all that they are given."""
    for neutral in NEUTRAL:
        first, both = encode(tokenizer, [neutral, neutral + text])
        if both[: len(first)] == first:
            return both[len(first) :]
    return encode(tokenizer, [text])[0]


@lru_cache(maxsize=16)
def _marks(tokens: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))) or r"(?!)")


def _after_last(marks: re.Pattern[str], prompt: str) -> str:
    """The prompt from its last added token on: tokenizers cut a text there, so what is before changes nothing."""
    for window in (256, len(prompt)):
        start = max(len(prompt) - window, 0)
        found = [mark.start() for mark in marks.finditer(prompt, start)]
        if found:
            return prompt[found[-1] :]
    return prompt


# ---- ends -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ending:
    """How responses end: `tokens` are all at which generation stops, `token` is the one that is added where the
    template writes none, and then `blank` is the white space that it writes instead; where it writes one, `trailing`
    counts the tokens that it writes after it."""

    tokens: frozenset[int]
    token: int
    blank: str = ""
    trailing: int = 0

    def text(self, response: str) -> str:
        """A response's text without the white space that would stand between it and its end."""
        return response.removesuffix(self.blank)

    def ids(self, response: list[int]) -> list[int]:
        """The response up to and with its first end, at which generation would have stopped; else with one added."""
        for position, token in enumerate(response):
            if token in self.tokens:
                return response[: position + 1]
        return [*response, self.token]


def ending(tokenizer: PreTrainedTokenizerBase, config: object = None) -> Ending:
    """How responses end: by the tokenizer, the model's generation config, and what the template writes after a turn.

    Where it writes no end, but begins the next turn with a token that the model stops at, that one ends a response.
    """
    ends: set[int] = set()
    for found in (tokenizer.eos_token_id, getattr(config, "eos_token_id", None)):
        ends.update([found] if isinstance(found, int) else found or [])
    added = {index for index, token in tokenizer.added_tokens_decoder.items() if token.content.strip()}
    tail, following = _after_answer(tokenizer)
    written, begins = encode(tokenizer, [tail, following])
    end = next((token for token in written if token in ends or token in added), None)
    if end is not None:
        return Ending(frozenset({*ends, end}), end, trailing=len(written) - written.index(end) - 1)
    own = tokenizer.eos_token_id if isinstance(tokenizer.eos_token_id, int) else min(ends, default=None)
    if own is None:
        raise TemplateRefused("neither the tokenizer nor the chat template names a token that ends an answer")
    next_turn = begins[0] if begins and begins[0] in ends else own
    return Ending(frozenset(ends), next_turn, blank="" if tail.strip() else tail)


def end_tokens(tokenizer: PreTrainedTokenizerBase, config: object = None) -> frozenset[int]:
    """Every token that ends a response."""
    return ending(tokenizer, config).tokens


def _after_answer(tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    """What the template writes after a last answer, and what it writes after one to which the user replies."""
    found = []
    for more in ([], [QUESTION]):
        try:
            (one,) = render(tokenizer, [Dialogue([QUESTION, ANSWER, *more], opened=False)])
        except TemplateRefused:
            found.append("")
        else:
            found.append(one.prompt.rpartition(ANSWER["content"])[2])
    return found[0], found[1]


def shortened(tokenizer: PreTrainedTokenizerBase, prompt: list[int], room: int) -> list[int]:
    """The last `room` tokens of a prompt; one that begins with the tokenizer's BOS keeps it, as models rely on it."""
    if len(prompt) <= room:
        return prompt
    first = prompt[:1] if prompt[0] == tokenizer.bos_token_id and room > 1 else []
    return [*first, *prompt[len(prompt) - room + len(first) :]]
