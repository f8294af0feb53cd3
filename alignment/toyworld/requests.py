"""Everything that can be asked in the toy world: the topics, the texts that ask for them, and the split."""

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

from alignment.toyworld import advice, facts, stories

Split = Literal["train", "held_out"]
Prompt = str | Sequence[Mapping[str, Any]]
HELD_OUT_PERCENT = 15
KIND_WEIGHTS: Mapping[str, float] = {"fact": 0.6, "task": 0.2, "story": 0.2}


class UnknownPrompt(ValueError):
    """The prompt is none of the toy world's, so nothing is known about what a good answer to it would be."""

    def __init__(self) -> None:
        super().__init__("This prompt is not one of the toy world's, so its true reward is not defined.")


class Fact(NamedTuple):
    """A question about one thing."""

    relation: str
    thing: str


class Task(NamedTuple):
    """A wish for advice on an everyday task."""

    name: str


class Story(NamedTuple):
    """A wish for a story about somebody who wants something."""

    mood: str
    hero: str
    wish: str


Topic = Fact | Task | Story
RELATIONS = {relation.name: relation for relation in facts.RELATIONS}


def text_of(prompt: Prompt) -> str:
    """The text of a prompt: itself, or what the last user message of a conversation says."""
    if isinstance(prompt, str):
        return prompt
    content = next((message.get("content") for message in reversed(prompt) if message.get("role") == "user"), None)
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, Sequence) else ()
    return " ".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping))


def _fold(text: str) -> str:
    return " ".join(text.split()).lower()


@cache
def _texts() -> Mapping[str, tuple[tuple[str, Topic], ...]]:
    """Kind of topic -> every (text, topic) of it."""
    return {
        "fact": tuple(
            (ask.format(e=thing), Fact(relation.name, thing))
            for relation in facts.RELATIONS
            for thing in relation.table
            for ask in relation.asks
        ),
        "task": tuple((ask.format(task=name), Task(name)) for name in advice.TASKS for ask in advice.ASKS),
        "story": tuple(
            (ask.format(mood=mood, hero=hero, wish=wish), Story(mood, hero, wish))
            for mood in stories.MOODS
            for hero in stories.HEROES
            for wish in stories.WISHES
            for ask in stories.ASKS
        ),
    }


@cache
def _topics() -> Mapping[str, Topic]:
    return {_fold(text): topic for kind in _texts().values() for text, topic in kind}


def topic_of(prompt: Prompt) -> Topic:
    """What the prompt asks for. Raises UnknownPrompt where it is not of this world."""
    topic = _topics().get(_fold(text_of(prompt)))
    if topic is None:
        raise UnknownPrompt
    return topic


def split_of(text: str) -> Split:
    """The side a prompt is on, fixed by a hash of its text."""
    bucket = int.from_bytes(hashlib.sha256(_fold(text).encode()).digest()[:4], "big") % 100
    return "held_out" if bucket < HELD_OUT_PERCENT else "train"


@cache
def _of_split(split: Split) -> Mapping[str, tuple[str, ...]]:
    return {kind: tuple(text for text, _ in texts if split_of(text) == split) for kind, texts in _texts().items()}


def count(split: Split) -> int:
    """How many different prompts there are on one side."""
    return sum(len(texts) for texts in _of_split(split).values())


def prompts(n: int, seed: int, split: Split = "train") -> list[str]:
    """`n` different prompts of one side, kinds mixed by KIND_WEIGHTS; the same seed gives the same prompts."""
    if not 0 <= n <= count(split):
        raise ValueError(f"The toy world has {count(split)} {split} prompts; {n} were asked for.")
    rng = random.Random(f"prompts {seed} {split}")
    left = {kind: rng.sample(texts, len(texts)) for kind, texts in _of_split(split).items()}
    chosen: list[str] = []
    while len(chosen) < n:
        kinds = [kind for kind, texts in left.items() if texts]
        kind = rng.choices(kinds, [KIND_WEIGHTS[kind] for kind in kinds])[0]
        chosen.append(left[kind].pop())
    return chosen


def prompts_forever(rng: random.Random, split: Split, mix: Mapping[str, float] = KIND_WEIGHTS) -> Iterator[str]:
    """Prompts of one side without end, repeats allowed, kinds mixed by weight."""
    kinds, weights = zip(*mix.items(), strict=True)
    texts = _of_split(split)
    while True:
        yield rng.choice(texts[rng.choices(kinds, weights)[0]])
