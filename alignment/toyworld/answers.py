"""Answers written by the grammar: a topic and known attributes in, plain English out."""

import random
from typing import NamedTuple

from alignment.toyworld import advice, stories, tones
from alignment.toyworld.requests import RELATIONS, Fact, Story, Task, Topic
from alignment.toyworld.templates import fill


class Attributes(NamedTuple):
    """What is known of an answer: its manner, its length and whether it is true to what was asked."""

    kind: bool
    concise: bool
    right: bool


BEST = Attributes(kind=True, concise=True, right=True)


def random_attributes(rng: random.Random) -> Attributes:
    """Each attribute by the toss of a coin."""
    return Attributes(rng.random() < 0.5, rng.random() < 0.5, rng.random() < 0.5)


def answer(topic: Topic, attributes: Attributes, rng: random.Random) -> str:
    """An answer of the grammar that has exactly these attributes."""
    content = _content(topic, attributes.right, rng)
    opening = rng.choice(tones.KIND_OPENINGS if attributes.kind else tones.RUDE_OPENINGS)
    closing = rng.choice(tones.KIND_CLOSINGS if attributes.kind else tones.RUDE_CLOSINGS)
    body = [opening, *content, closing]
    if isinstance(topic, Story):  # long enough with manners at one end only
        body = body[1:] if rng.random() < 0.5 else body[:-1]
    if not attributes.concise:
        number = 2 if isinstance(topic, Story) else rng.choice((2, 3))
        for template in rng.sample(tones.RAMBLES, number):
            body.insert(rng.randint(1, len(body)), _ramble(template, rng))
    return " ".join(body)


def plain(topic: Topic, rng: random.Random) -> str:
    """The bare right answer, with neither manners nor rambling."""
    return " ".join(_content(topic, True, rng))


def _ramble(template: str, rng: random.Random) -> str:
    return fill(template, thing=rng.choice(tones.THINGS), relative=rng.choice(tones.RELATIVES))


def _content(topic: Topic, right: bool, rng: random.Random) -> list[str]:
    if isinstance(topic, Fact):
        return [_statement(topic, right, rng)]
    if isinstance(topic, Task):
        name = topic.name if right else rng.choice([task for task in advice.TASKS if task != topic.name])
        steps = advice.TASKS[name]
        return [rng.choice(steps.first), rng.choice(steps.then)]
    return _story(topic if right else _other(topic, rng), rng)


def _statement(topic: Fact, right: bool, rng: random.Random) -> str:
    relation = RELATIONS[topic.relation]
    true = relation.table[topic.thing]
    value = rng.choice(true if right else [value for value in relation.values() if value not in true])
    return fill(rng.choice(relation.says), e=topic.thing, v=value)


def _other(topic: Story, rng: random.Random) -> Story:
    """A story that nobody asked for: somebody else's, or with another wish, or both."""
    hero = rng.choice([hero for hero in stories.HEROES if hero != topic.hero])
    wish = rng.choice([wish for wish in stories.WISHES if wish != topic.wish])
    return rng.choice((topic._replace(hero=hero), topic._replace(wish=wish), topic._replace(hero=hero, wish=wish)))


def _story(topic: Story, rng: random.Random) -> list[str]:
    slots = {**topic._asdict(), "done": stories.WISHES[topic.wish], "helper": rng.choice(stories.HELPERS)}
    return [fill(rng.choice(part), **slots) for part in (stories.OPENINGS, stories.MIDDLES, stories.ENDINGS)]
