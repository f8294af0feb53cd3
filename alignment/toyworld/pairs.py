"""Preference pairs of the toy world, labelled by its true preference with noise that can be turned up and down."""

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from alignment.formats import Item, LabelFacts
from alignment.formats import native as native_rows
from alignment.toyworld.answers import answer, random_attributes
from alignment.toyworld.requests import Prompt, Split, Topic, prompts, topic_of
from alignment.toyworld.reward import true_reward

TEMPERATURE, FLIP = 0.3, 0.05
WORDS_PER_BIAS = 10  # a length bias of 1 adds 1 to the log-odds for every ten words more
CATEGORIES = {"Fact": "small facts", "Task": "advice", "Story": "stories"}


def truth(prompt: Prompt, first: str, second: str, temperature: float = TEMPERATURE) -> float:
    """The probability that the first answer is truly preferred: Bradley-Terry on the true rewards.

    Temperature 0 means no noise: 1, 0, or 0.5 where both are worth the same. Raises UnknownPrompt.
    """
    return _preference(true_reward(prompt, first) - true_reward(prompt, second), temperature)


def _preference(advantage: float, temperature: float) -> float:
    if temperature == 0:
        return 0.5 if abs(advantage) < 1e-9 else float(advantage > 0)
    return 0.5 * (1.0 + math.tanh(0.5 * advantage / temperature))


def pairs(
    n: int,
    seed: int,
    *,
    split: Split = "train",
    temperature: float = TEMPERATURE,
    flip: float = FLIP,
    length_bias: float = 0.0,
) -> list[Item]:
    """`n` labelled items on different prompts; the same arguments give the same items.

    A label is drawn from the Bradley-Terry probability of the true rewards divided by `temperature`, to whose
    log-odds `length_bias` adds that much for every ten words that the first response is longer, and is turned round
    with probability `flip`. Which response stands first says nothing. Raises ValueError for settings out of range.
    """
    if temperature < 0 or not 0 <= flip <= 1 or not math.isfinite(length_bias):
        raise ValueError("temperature must be 0 or more, flip a probability and length_bias a finite number")
    rng = random.Random(f"pairs {seed} {split} {temperature} {flip} {length_bias}")
    return [_item(text, rng, temperature, flip, length_bias) for text in prompts(n, seed, split)]


def _item(text: str, rng: random.Random, temperature: float, flip: float, length_bias: float) -> Item:
    topic = topic_of(text)
    first, second = _two_answers(topic, rng)
    advantage = true_reward(text, first) - true_reward(text, second)
    longer = (len(first.split()) - len(second.split())) / WORDS_PER_BIAS
    scale = temperature or 1.0  # without noise the bias is weighed against the rewards themselves
    first_wins = rng.random() < _preference(advantage + scale * length_bias * longer, temperature)
    if rng.random() < flip:
        first_wins = not first_wins
    return Item(
        prompt=[{"role": "user", "content": text}],
        responses=[{"role": "assistant", "content": first}, {"role": "assistant", "content": second}],
        labels=(LabelFacts({"strength": 1 if first_wins else -1}),),
        facts={"category": CATEGORIES[type(topic).__name__]},
    )


def _two_answers(topic: Topic, rng: random.Random) -> tuple[str, str]:
    first = answer(topic, random_attributes(rng), rng)
    while (second := answer(topic, random_attributes(rng), rng)) == first:
        pass
    return first, second


def write_pairs(
    path: Path,
    n: int,
    seed: int,
    *,
    form: Literal["native", "trl", "unlabelled"] = "trl",
    split: Split = "train",
    temperature: float = TEMPERATURE,
    flip: float = FLIP,
    length_bias: float = 0.0,
) -> int:
    """Write pairs as JSON lines and return their number.

    `trl` rows are `{prompt, chosen, rejected}` in messages, `native` rows are our own with their labels, `unlabelled`
    ones our own without, for somebody else to label.
    """
    items = pairs(n, seed, split=split, temperature=temperature, flip=flip, length_bias=length_bias)
    with path.open("w", encoding="utf-8") as file:
        for row in _rows(items, form):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return len(items)


def _rows(items: list[Item], form: Literal["native", "trl", "unlabelled"]) -> Iterator[dict[str, Any]]:
    for item in items:
        row = native_rows.render(item)
        if form == "trl":
            chosen, rejected = item.responses if item.labels[0].value["strength"] > 0 else item.responses[::-1]
            row = {"prompt": item.prompt, "chosen": [chosen], "rejected": [rejected]}
        elif form == "unlabelled":
            del row["labels"]
        yield row
