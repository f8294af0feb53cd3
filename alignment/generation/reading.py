"""An answer read token by token: which tokens it is made of, and how likely each is after what stands before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from alignment import chat
from alignment.training import layout, structure
from alignment.training.divergence import compared
from alignment.training.scorer import Scorer
from alignment.training.vocabulary import Voice

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LOOK_BACK = 6  # tokens before one that decide how it is written


class Read(NamedTuple):
    """Token ids of a prompt, cut from the left where there was no room, and of an answer to it; its tokens as text.

    A token that is only part of a character is empty, and the one that completes it is the character.
    """

    prompt: list[int]
    response: list[int]
    texts: list[str]


class Said(NamedTuple):
    """Of each token of an answer, in nats: its log-probability under two models, and the divergence of what the first
    expected there from what the second did, over all tokens; None where they have different numbers of logits."""

    policy: list[float]
    reference: list[float]
    kl: list[float] | None


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
def voice(model: PreTrainedModel, found: Read) -> Voice:
    """What the model says where each token of the answer is predicted."""
    laid = layout.rows([(found.prompt, found.response)], 0, model.device)
    return Scorer(model, "fp32").voice(laid, structure.plain("one answer is one row"))


def said(policy: Voice, reference: Voice, found: Read) -> Said:
    """What the model that answered, and another one with the same tokens, think of the answer."""
    target = torch.tensor(found.response, device=policy.hidden.device)
    own, theirs, kl = compared(policy, reference, target)
    return Said(own.tolist(), theirs.tolist(), None if kl is None else kl.tolist())
