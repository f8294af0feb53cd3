"""The text that the toy checkpoint is trained on: conversations with good and bad answers alike."""

import random
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from alignment.toyworld.answers import answer, plain, random_attributes
from alignment.toyworld.requests import KIND_WEIGHTS, Split, prompts_forever, topic_of

Message = dict[str, Any]
SYSTEM_SHARE, EARLIER_TURN_SHARE = 0.05, 0.05
SYSTEM_TEXTS = (
    "You are a helpful assistant.",
    "You answer short requests.",
    "You are an assistant in a small world.",
)


class Conversation(NamedTuple):
    """A prompt (messages, the last from the user) and one answer to it."""

    prompt: list[Message]
    response: str


def conversations(seed: int, split: Split = "train", mix: Mapping[str, float] = KIND_WEIGHTS) -> Iterator[Conversation]:
    """Conversations without end; each answer's attributes are tossed like coins. The same seed gives the same ones."""
    rng = random.Random(f"corpus {seed} {split}")
    texts = prompts_forever(rng, split, mix)
    while True:
        messages: list[Message] = []
        if rng.random() < SYSTEM_SHARE:
            messages.append({"role": "system", "content": rng.choice(SYSTEM_TEXTS)})
        if rng.random() < EARLIER_TURN_SHARE:
            text = next(texts)
            earlier = answer(topic_of(text), random_attributes(rng), rng)
            messages += [{"role": "user", "content": text}, {"role": "assistant", "content": earlier}]
        text = next(texts)
        messages.append({"role": "user", "content": text})
        yield Conversation(messages, answer(topic_of(text), random_attributes(rng), rng))


def textbook(seed: int, split: Split = "train", mix: Mapping[str, float] = KIND_WEIGHTS) -> Iterator[Conversation]:
    """Bare right answers without end, in no manner at all: where the world is learned quickest."""
    rng = random.Random(f"textbook {seed} {split}")
    for text in prompts_forever(rng, split, mix):
        yield Conversation([{"role": "user", "content": text}], plain(topic_of(text), rng))
