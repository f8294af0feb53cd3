"""How long the examples of a run are, from the first of them: an estimate for whoever launches it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from alignment.chat import UnsupportedContent, text_of
from alignment.formats import FileRefused, snapshot
from alignment.formats.facts import training_facts
from alignment.objectives import Role
from alignment.objectives.feeding import TOLD
from alignment.tokenizing import TOKENIZING
from alignment.training.estimate import Lengths
from backend import storage
from backend.datasets import reading
from backend.datasets.models import Dataset, Snapshot
from backend.runs.schemas import RunIn

LOOKED_AT = 100  # examples of each part; a form asks at every change
LONGEST_TEXT = 20_000  # characters of a text that are counted
CHARACTERS = 4_000_000  # of all texts together


class Sample(NamedTuple):
    """The texts of one example: its prompt, its responses, and what data hold beside them, by name."""

    prompt: str
    responses: list[str]
    told: dict[str, str]


def of_snapshot(found: Snapshot) -> list[Sample]:
    """The first examples of a frozen snapshot; none of a damaged one, which whoever trains on it refuses.

    Raises StorageTrouble.
    """
    with storage.using() as use:
        try:
            return _samples((one.prompt, one.responses, one.facts) for one in snapshot.read(use(found.path)))
        except FileRefused:
            return []


def of_dataset(session: Session, dataset: Dataset) -> list[Sample]:
    """The first items of a dataset, whether or not somebody has judged them."""
    items = (item for item, _, _ in reading.walk(session, dataset.id, at_once=LOOKED_AT))
    return _samples((item.prompt, item.responses, training_facts(item.facts)) for item in items)


def _samples(found: Iterable[tuple[Sequence[Any], Sequence[Any], Mapping[str, Any]]]) -> list[Sample]:
    return [
        Sample("\n".join(_texts(prompt)), list(_texts(responses)), _told(facts))
        for prompt, responses, facts in islice(found, LOOKED_AT)
    ]


def _texts(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for message in messages:
        try:
            yield f"{message.get('reasoning') or ''}{text_of(message.get('content'))}"[:LONGEST_TEXT]
        except UnsupportedContent:
            yield ""


def _told(facts: Mapping[str, Any]) -> dict[str, str]:
    return {name: facts[name][:LONGEST_TEXT] for name in TOLD.values() if facts.get(name)}


class _Sizes(NamedTuple):
    """Tokens of one example, cut as the run cuts them: of its prompt, and of each response with what stands before it
    beside the prompt."""

    prompt: int
    responses: list[int]


def of_run(body: RunIn, checkpoint: Path, samples: Sequence[Sample]) -> Lengths | None:
    """The lengths in tokens of a run's examples; None where they cannot be counted.

    What the chat template writes around the texts is not in them.
    """
    asked = [name for role, name in TOLD.items() if role in body.objective.needs.roles]
    texts = [
        text
        for sample in samples
        for text in (sample.prompt, *sample.responses, *(sample.told.get(name, "") for name in asked))
    ]
    if not any(sample.responses for sample in samples) or sum(map(len, texts)) > CHARACTERS:
        return None
    counts = TOKENIZING.counts(checkpoint, texts)
    if counts is None:
        return None
    left = iter(counts)
    found = [_sizes(sample, asked, body, left) for sample in samples]
    taken = [size for one in found for size in one.responses]
    apart = body.pairs == "apart"
    formed = Role.MISMATCHED in body.objective.needs.roles  # each example has another's answer as well
    return Lengths(
        prompt=sum(one.prompt for one in found) / len(found),
        response=sum(taken) / len(taken),
        longest=max(one.prompt + (max if apart else sum)([0, *one.responses]) for one in found),
        responses=(1.0 if apart else len(taken) / len(found)) + formed,
    )


def _sizes(sample: Sample, asked: Sequence[str], body: RunIn, left: Iterator[int]) -> _Sizes:
    most_prompt, most_response = body.length.max_prompt_tokens, body.length.max_response_tokens
    prompt = min(next(left), most_prompt)
    whole = [next(left) for _ in sample.responses]
    responses = [min(size, most_response) + 1 for size in whole]  # and its end
    for name in asked:
        size = min(next(left), most_response) + 1
        before = min(prompt + sum(whole), most_prompt) - prompt if name == TOLD[Role.RATIONALE] else 0
        responses.append(before + size)
    return _Sizes(prompt, responses)
