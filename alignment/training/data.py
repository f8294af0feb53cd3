"""The examples of a run: pairs from snapshot folders or data files, each in its split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from alignment.formats import FileRefused, RowError, snapshot
from alignment.formats import read as read_file
from alignment.formats.preference import Policy, decide
from alignment.formats.split import split_of
from alignment.formats.writing import NOUNS
from alignment.training.errors import BadData
from alignment.training.spec import Source

Split = Literal["train", "validation"]
Message = dict[str, Any]


@dataclass(frozen=True)
class Pair:
    """A prompt with the better and the worse response, as messages; `source` is the place of its source in the spec."""

    id: str
    split: Split
    prompt: list[Message]
    chosen: Message
    rejected: Message
    source: int = 0


def read(sources: Sequence[Source]) -> Iterator[Pair]:
    """The training and validation pairs of every source, in order; test examples never leave this function.

    Raises BadData naming the file and the row.
    """
    for index, source in enumerate(sources):
        field = f"snapshots.{index}.path"
        if not source.path.exists():
            raise BadData(f"{source.path} does not exist.", "Name a snapshot folder or a data file.", field)
        pairs = _from_snapshot(source.path) if source.format is None else _from_file(source.path, source.format)
        try:
            for pair in pairs:
                yield replace(pair, source=index) if index else pair
        except FileRefused as refused:
            raise BadData(refused.reason, refused.remedy, field) from refused
        except BadData as error:
            error.field = field
            raise


def _from_snapshot(folder: Path) -> Iterator[Pair]:
    if folder.is_file():
        raise BadData(f"{folder.name} is a file.", "Name its format beside its path, or name a snapshot folder.")
    kind = snapshot.manifest(folder).kind
    if kind != "paired":
        raise BadData(f"The snapshot holds {kind} data.", "A preference run needs a snapshot of pairs.")
    for number, example in enumerate(snapshot.read(folder), start=1):
        if example.split == "test":
            continue
        if len(example.responses) != 2:
            count = len(example.responses)
            raise BadData(f"Example {number} has {count} responses.", "Each example needs chosen and rejected.")
        chosen, rejected = (dict(response) for response in example.responses)
        prompt = [dict(message) for message in example.prompt]
        yield Pair(example.id, example.split, prompt, chosen, rejected)


def _from_file(path: Path, format: str) -> Iterator[Pair]:
    """Labelled pairs of a data file; each prompt's split is fixed by its hash, as in an import."""
    policy = Policy()
    for item in read_file(path, format):
        if isinstance(item, RowError):
            raise BadData(
                f"{path.name}, line {item.line}, {item.field}: {item.reason}", "Correct the line, or remove it."
            )
        if item.kind != "paired" or item.has_media:
            held = NOUNS[item.kind] if item.kind != "paired" else "pictures, sound, video or files"
            raise BadData(f"{path.name}, line {item.line} holds {held}.", "A preference run needs pairs of texts.")
        split = split_of("", item.prompt_hash)
        decision = decide(item, policy)
        if split == "test" or isinstance(decision, str):
            continue
        chosen, rejected = (dict(response) for response in decision.responses)
        prompt = [dict(message) for message in item.prompt]
        yield Pair(item.id or str(item.line), split, prompt, chosen, rejected)
