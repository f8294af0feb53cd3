"""An answer read token by token: which tokens it is made of, and how likely each is after what stands before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from alignment import chat

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ROWS = 256  # positions whose vocabulary is normalised at once
LOOK_BACK = 6  # tokens before one that decide how it is written


class Read(NamedTuple):
    """Token ids of a prompt, cut from the left where there was no room, and of an answer to it; its tokens as text.

    A token that is only part of a character is empty, and the one that completes it is the character.
    """

    prompt: list[int]
    response: list[int]
    texts: list[str]


class AnswerTooLong(ValueError):
    """The answer alone fills the context, so that it would follow nothing."""

    def __init__(self, tokens: int, context: int) -> None:
        super().__init__(f"the answer has {tokens} tokens, and the context has {context}")
        self.tokens = tokens
        self.context = context


def read(
    tokenizer: PreTrainedTokenizerBase,
    ending: chat.Ending,
    prompt: Sequence[chat.ChatMessage],
    response: str,
    *,
    ended: bool,
    context: int | None,
) -> Read:
    """The ids that training would see, with the end where the answer `ended`.

    Raises AnswerTooLong, and what `chat.render` does.
    """
    text = chat.render_prompt(tokenizer, prompt)
    (before,) = chat.encode(tokenizer, [text])
    (answer,) = chat.encode_responses(tokenizer, [(text, response)])
    if ended:
        answer = [*answer, ending.token]
    if context is not None:
        if len(answer) >= context:
            raise AnswerTooLong(len(answer), context)
        before = chat.shortened(tokenizer, before, context - len(answer))
    return Read(before, answer, _texts(tokenizer, answer))


def _texts(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> list[str]:
    """Each token's share of the text."""
    found = []
    begun = 0  # the first token of a character that is not whole yet
    for place in range(len(ids)):
        start = max(0, begun - LOOK_BACK)
        before, after = str(tokenizer.decode(ids[start:begun])), str(tokenizer.decode(ids[start : place + 1]))
        whole = not after.endswith("\ufffd") or place == len(ids) - 1 or place - begun >= LOOK_BACK
        found.append(after[len(before) :] if whole else "")
        begun = place + 1 if whole else begun
    return found


@torch.no_grad()
def logps(model: PreTrainedModel, found: Read) -> list[float]:
    """The log-probability of each token of the answer, in nats, in float32."""
    device = next(model.parameters()).device
    ids = torch.tensor([found.prompt + found.response], device=device)
    count = len(found.response)
    logits = model(input_ids=ids, use_cache=False, logits_to_keep=count + 1).logits[0, -count - 1 : -1]
    target = ids[0, -count:]
    rows = []
    for start in range(0, count, ROWS):
        some = slice(start, start + ROWS)
        likely = torch.log_softmax(logits[some].float(), dim=-1)
        rows.append(likely.gather(1, target[some, None])[:, 0])
    values: list[float] = torch.cat(rows).tolist() if rows else []
    return values
