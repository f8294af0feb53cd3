"""How long the examples of a run are, from some of all over its data: an estimate for whoever launches it."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from alignment.chat import Dialogue, Turn, Unrenderable, write
from alignment.formats import FileRefused, snapshot
from alignment.formats.facts import training_facts
from alignment.objectives import Role
from alignment.objectives.feeding import TOLD
from alignment.templates import special_tokens, template_of
from alignment.tokenizing import TOKENIZING
from alignment.training.estimate import Lengths
from backend import storage
from backend.datasets import reading
from backend.datasets.models import Dataset, Snapshot
from backend.runs.schemas import RunIn

LOOKED_AT = 200  # examples; a form asks at every change
LONGEST_TEXT = 20_000  # characters of a text that are counted
CHARACTERS = 1_000_000  # of all texts together, about; of longer ones fewer examples are counted
WRITTEN = 5 * CHARACTERS  # what a template makes of them; what makes more is not counted
TEXTS = ("content", "reasoning")  # of a message

Message = Mapping[str, Any]


class Sample(NamedTuple):
    """One example: the messages of its prompt, its responses, and the texts that data hold beside them, by name."""

    prompt: list[Message]
    responses: list[Message]
    told: dict[str, str]


def of_snapshot(found: Snapshot) -> list[Sample]:
    """The first examples of a frozen snapshot, which lie in an order by hash; none of a damaged one, which whoever
    trains on it refuses.

    Raises StorageTrouble.
    """
    with storage.using() as use:
        try:
            return _samples((one.prompt, one.responses, one.facts) for one in snapshot.read(use(found.path)))
        except FileRefused:
            return []


def of_dataset(session: Session, dataset: Dataset) -> list[Sample]:
    """Items from all over a dataset, judged or not: files often hold alike ones together."""
    items = reading.spread(session, dataset.id, LOOKED_AT)
    return _samples((item.prompt, item.responses, training_facts(item.facts)) for item in items)


def _samples(found: Iterable[tuple[Sequence[Any], Sequence[Any], Mapping[str, Any]]]) -> list[Sample]:
    return [
        Sample([_message(one) for one in prompt], [_message(one) for one in responses], _told(facts))
        for prompt, responses, facts in islice(found, LOOKED_AT)
    ]


def _message(message: Message) -> Message:
    """The message with as much of its texts as is counted."""
    texts = {name: message[name][:LONGEST_TEXT] for name in TEXTS if message.get(name)}
    return {name: value for name, value in message.items() if name != "parts"} | texts


def _told(facts: Mapping[str, Any]) -> dict[str, str]:
    return {name: facts[name][:LONGEST_TEXT] for name in TOLD.values() if facts.get(name)}


class _Sizes(NamedTuple):
    """Tokens of one example, cut as the run cuts them: of its prompt, and of each response with what stands before it
    beside the prompt."""

    prompt: int
    responses: list[int]


def of_run(body: RunIn, checkpoint: Path, samples: Sequence[Sample]) -> Lengths | None:
    """The lengths in tokens of a run's examples as the checkpoint's chat template writes them; None where they cannot
    be counted.

    Raises CheckpointRefused.
    """
    asked = [name for role, name in TOLD.items() if role in body.objective.needs.roles]
    much, many = sum(map(_characters, samples)) / CHARACTERS, len(samples) / LOOKED_AT
    samples = samples[:: max(1, math.ceil(much), math.ceil(many))]
    if not any(sample.responses for sample in samples):
        return None
    turns = _written(checkpoint, samples)
    if turns is None:
        return None
    texts = [
        text
        for sample, turn in zip(samples, turns, strict=True)
        for text in (turn.prompt, *turn.responses, *(sample.told.get(name, "") for name in asked))
    ]
    counts = TOKENIZING.counts(checkpoint, texts) if sum(map(len, texts)) <= WRITTEN else None
    if counts is None:
        return None
    left = iter(counts)
    found = [_sizes(turn, asked, body, left) for turn in turns]
    taken = [size for one in found for size in one.responses]
    apart = body.pairs == "apart"
    formed = Role.MISMATCHED in body.objective.needs.roles  # each example has another's answer as well
    return Lengths(
        prompt=sum(one.prompt for one in found) / len(found),
        response=sum(taken) / len(taken),
        longest=max(one.prompt + (max if apart else sum)([0, *one.responses]) for one in found),
        responses=(1.0 if apart else len(taken) / len(found)) + formed,
    )


def _characters(sample: Sample) -> int:
    messages = (*sample.prompt, *sample.responses)
    return sum(len(message.get(name) or "") for message in messages for name in TEXTS) + sum(
        map(len, sample.told.values())
    )


def _written(checkpoint: Path, samples: Sequence[Sample]) -> list[Turn] | None:
    """The examples as the checkpoint's template writes them, each response up to its end; None where it refuses one."""
    template, names = template_of(checkpoint), special_tokens(checkpoint)
    if template is None:
        return None
    try:
        turns = write(template, names, [Dialogue(one.prompt, one.responses) for one in samples])
    except Unrenderable:
        return None
    end = names.get("eos_token", "")
    return [
        Turn(turn.prompt, [_ended(*pair, end) for pair in zip(turn.responses, sample.responses, strict=True)])
        for turn, sample in zip(turns, samples, strict=True)
    ]


def _ended(text: str, response: Message, end: str) -> str:
    """What is learned of a response: its end included, which the run adds where the template writes none."""
    text, content = text.rstrip(), (response.get("content") or "").rstrip()
    return text + end if content and text.endswith(content) else text


def _sizes(turn: Turn, asked: Sequence[str], body: RunIn, left: Iterator[int]) -> _Sizes:
    most_prompt, most_response = body.length.max_prompt_tokens, body.length.max_response_tokens
    prompt = min(next(left), most_prompt)
    whole = [next(left) for _ in turn.responses]
    responses = [min(size, most_response) for size in whole]
    for name in asked:
        size = min(next(left) + 1, most_response)  # and its end
        before = min(prompt + sum(whole), most_prompt) - prompt if name == TOLD[Role.RATIONALE] else 0
        responses.append(before + size)
    return _Sizes(prompt, responses)
