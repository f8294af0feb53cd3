"""How long the examples of a run are, from the first of them: an estimate for whoever launches it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from alignment.chat import UnsupportedContent, text_of
from alignment.formats import snapshot
from alignment.lengths import COUNTER
from alignment.objectives import Role
from alignment.training.estimate import Lengths
from backend import storage
from backend.datasets import reading
from backend.datasets.models import Dataset, Snapshot
from backend.runs.schemas import RunIn

LOOKED_AT = 100  # examples of each part; a form asks at every change
LONGEST_TEXT = 20_000  # characters of a text that are counted
CHARACTERS = 4_000_000  # of all texts together


class Sample(NamedTuple):
    """The texts of one example: its prompt, and its responses."""

    prompt: str
    responses: list[str]


def of_snapshot(found: Snapshot) -> list[Sample]:
    """The first examples of a frozen snapshot.  Raises StorageTrouble, FileRefused."""
    with storage.using() as use:
        return _samples((one.prompt, one.responses) for one in snapshot.read(use(found.path)))


def of_dataset(session: Session, dataset: Dataset) -> list[Sample]:
    """The first items of a dataset, whether or not somebody has judged them."""
    return _samples((item.prompt, item.responses) for item, _, _ in reading.walk(session, dataset.id))


def _samples(found: Iterable[tuple[Sequence[Any], Sequence[Any]]]) -> list[Sample]:
    return [
        Sample("\n".join(_texts(prompt)), list(_texts(responses))) for prompt, responses in islice(found, LOOKED_AT)
    ]


def _texts(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for message in messages:
        try:
            yield f"{message.get('reasoning') or ''}{text_of(message.get('content'))}"[:LONGEST_TEXT]
        except UnsupportedContent:
            yield ""


def of_run(body: RunIn, checkpoint: Path, samples: Sequence[Sample]) -> Lengths | None:
    """The lengths in tokens of a run's examples, cut as it will cut them; None where they cannot be counted.

    What the chat template writes around the texts is not in them.
    """
    texts = [text for sample in samples for text in (sample.prompt, *sample.responses)]
    if not texts or sum(map(len, texts)) > CHARACTERS or not any(sample.responses for sample in samples):
        return None
    counts = COUNTER.count(checkpoint, texts)
    if counts is None:
        return None
    left = iter(counts)
    prompts, responses, longest, taken = 0, 0, 0, 0
    apart = body.pairs == "apart"
    for sample in samples:
        prompt = min(next(left), body.length.max_prompt_tokens)
        answers = [min(next(left), body.length.max_response_tokens) + 1 for _ in sample.responses]  # and its end
        prompts += prompt
        responses += sum(answers)
        taken += len(answers)
        longest = max(longest, prompt + (max(answers, default=0) if apart else sum(answers)))
    each = 1.0 if apart else taken / len(samples)
    formed = Role.MISMATCHED in body.objective.needs.roles  # each example has another's answer as well
    return Lengths(prompt=prompts / len(samples), response=responses / taken, longest=longest, responses=each + formed)
