"""The examples of a run, from snapshot folders or data files, each in its split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from alignment.formats import FileRefused, RowError, snapshot
from alignment.formats import read as read_file
from alignment.formats.canonical import Split as AnySplit
from alignment.formats.facts import training_facts
from alignment.formats.preference import Policy, decide
from alignment.formats.ranking import MOST_RANKED
from alignment.formats.split import split_of
from alignment.objectives import feeding
from alignment.objectives.batch import Role
from alignment.objectives.facts import Contrary, Reader, Unfit
from alignment.training import goals, told
from alignment.training.earlier import Earlier
from alignment.training.errors import BadData
from alignment.training.spec import Source

Split = Literal["train", "validation"]
Message = dict[str, Any]


class Spoken(NamedTuple):
    """A prompt and what answers it; `place` is that of the response for which the prompt was made, if one was."""

    place: int | None
    prompt: list[Message]
    responses: Sequence[Message]


@dataclass(frozen=True)
class Example:
    """A prompt and its responses, as messages, with what each is to the objective.

    `facts` are those of the data (`alignment.formats.facts`), in the order of `responses`; once `read`, `values` are
    those of them that the objective asks for (`alignment.objectives.facts`), one for each response, and `facts` are let
    go. `source` is the place of its source in the spec. `asides` are the prompts of those responses that have their
    own, by their place (`alignment.training.told`).
    """

    id: str
    split: Split
    prompt: list[Message]
    responses: tuple[Message, ...]
    roles: tuple[Role, ...] = (Role.CHOSEN, Role.REJECTED)
    facts: Mapping[str, Any] = field(default_factory=dict)
    source: int = 0
    values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    asides: Mapping[int, list[Message]] = field(default_factory=dict)

    @property
    def dialogues(self) -> list[Spoken]:
        """The prompt with its responses, then each prompt that was made for one response."""
        own = [answer for place, answer in enumerate(self.responses) if place not in self.asides]
        made = [Spoken(place, prompt, [self.responses[place]]) for place, prompt in self.asides.items()]
        return [Spoken(None, self.prompt, own), *made]

    @property
    def given(self) -> int:
        """How many of its responses are those that its row has, which are the first; texts beside them follow."""
        return sum(role not in feeding.TOLD for role in self.roles)


Rewarded = Callable[[list[Example], Counter[str]], Iterator[Example]]


@dataclass(frozen=True)
class Wanted:
    """What an objective takes: responses in these roles, and of each the facts that `reader` finds.

    `apart` makes each side of a pair an example of its own; `goals` gives each pair twice, see `goals.aimed`.
    `turns` makes each earlier answer in the prompt of a wanted one an example, too.  `rewarded` gives all examples
    facts that checkpoints tell, once `untold` has found what data alone must say; those whose values the objective's
    paper does not allow are then left out, since nobody has made a mistake.
    """

    title: str
    roles: frozenset[Role]
    apart: bool = False
    reader: Reader | None = None
    goals: bool = False
    rewarded: Rewarded | None = None
    untold: Reader | None = None
    turns: bool = False

    def fed(self, kind: str) -> frozenset[Role]:
        """The roles that data of a kind fill.  Raises BadData when there are none."""
        refusal = feeding.refused(self.title, self.roles, kind, apart=self.apart)
        if refusal is not None:
            raise BadData(*refusal)
        return feeding.fed(self.roles, kind, apart=self.apart)

    def values(self, example: Example) -> dict[str, tuple[float, ...]]:
        """What the objective asks of an example.  Raises BadData naming what it lacks."""
        return _read(self.reader, example)

    def taken(self, examples: Iterator[Example], left_out: Counter[str]) -> Iterator[Example]:
        """The examples with what the objective asks of them, and with further responses for texts beside them.

        Raises BadData naming the first that it cannot learn from.
        """
        given = examples
        if self.rewarded is not None:
            every = list(examples)
            for example in every:
                _read(self.untold, example)
            given = self.rewarded(every, left_out)
        for example in given:
            try:
                known = told.beside(replace(example, values=self.values(example)), self.roles)
            except BadData as error:
                if self.rewarded is None or not isinstance(error.__cause__, Contrary):
                    error.field = _field(example.source)
                    raise
                left_out["reward_left_out"] += 1
                continue
            known = replace(known, facts={})
            yield from goals.aimed(known, left_out) if self.goals else (known,)


def _read(reader: Reader | None, example: Example) -> dict[str, tuple[float, ...]]:
    if reader is None:
        return {}
    try:
        return reader.read(example.facts, len(example.responses))
    except Unfit as unfit:
        raise BadData(f"Example {example.id} {unfit.detail}.", unfit.remedy, _field(example.source)) from unfit


@dataclass(frozen=True)
class _Row:
    """A row of a snapshot or a file, whatever its split; of a pair the chosen response is the first."""

    id: str
    split: AnySplit
    kind: str
    prompt: Sequence[Mapping[str, Any]]
    responses: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any]


def read(sources: Sequence[Source], wanted: Wanted, left_out: Counter[str] | None = None) -> Iterator[Example]:
    """The training and validation examples of every source, in order; test examples never leave this function.

    `left_out` counts examples in whose roles the objective has no use.  Raises BadData naming the file and the row.
    """
    counts: Counter[str] = Counter() if left_out is None else left_out
    given = (example for _, examples in _all(sources, wanted, counts) for example in examples)
    if wanted.turns:
        earlier = Earlier()
        for row, examples in _all(sources, wanted, Counter()):
            earlier.know(row.split, row.prompt, examples)
        given = (turn for example in given for turn in earlier.of(example, counts))
    yield from wanted.taken(given, counts)


def _all(
    sources: Sequence[Source], wanted: Wanted, left_out: Counter[str]
) -> Iterator[tuple[_Row, tuple[Example, ...]]]:
    """The rows of every source, and what they become: those for testing nothing."""
    for index, source in enumerate(sources):
        field = _field(index)
        if not source.path.exists():
            raise BadData(f"{source.path} does not exist.", "Name a snapshot folder or a data file.", field)
        reasons = Role.RATIONALE in wanted.roles
        plain = source.format is None
        rows = _from_snapshot(source.path, wanted) if plain else _from_file(source.path, source.format, reasons)
        try:
            for row in rows:
                yield row, () if row.split == "test" else (*_examples(row, row.split, wanted, index, left_out),)
        except FileRefused as refused:
            raise BadData(refused.reason, refused.remedy, field) from refused
        except BadData as error:
            error.field = field
            raise


def _field(source: int) -> str:
    return f"snapshots.{source}.path"


def _examples(row: _Row, split: Split, wanted: Wanted, source: int, left_out: Counter[str]) -> Iterator[Example]:
    """What a row becomes: one example, or one for each side of a pair that is taken apart."""
    taken = wanted.fed(row.kind)
    prompt, responses = [dict(turn) for turn in row.prompt], [dict(answer) for answer in row.responses]
    good = feeding.wanted(taken)
    if row.kind == "paired" and wanted.apart:
        parts = [(f"{row.id}/chosen", responses[:1], good), (f"{row.id}/rejected", responses[1:], Role.UNDESIRABLE)]
    elif row.kind == "paired":
        yield Example(row.id, split, prompt, tuple(responses), (Role.CHOSEN, Role.REJECTED), row.facts, source)
        return
    elif row.kind == "ranked":
        roles = (Role.CANDIDATE,) * len(responses)
        yield Example(row.id, split, prompt, tuple(responses), roles, row.facts, source)
        return
    else:
        parts = [(row.id, responses, good if row.facts.get("desirable", True) else Role.UNDESIRABLE)]
    facts = {} if row.kind == "paired" else row.facts
    for id, some, role in parts:
        if role is None or role not in taken:
            left_out["role_left_out"] += 1
        else:
            yield Example(id, split, prompt, tuple(some), (role,), facts, source)


RESPONSES = {"paired": (2, 2), "ranked": (2, MOST_RANKED), "unpaired": (1, 1), "demonstrations": (1, 1)}
"""How many responses an example of a kind has, at least and at most."""


def _from_snapshot(folder: Path, wanted: Wanted) -> Iterator[_Row]:
    if folder.is_file():
        raise BadData(f"{folder.name} is a file.", "Name its format beside its path, or name a snapshot folder.")
    kind = snapshot.manifest(folder).kind
    wanted.fed(kind)
    least, most = RESPONSES[kind]
    for number, example in enumerate(snapshot.read(folder), start=1):
        count = len(example.responses)
        if not least <= count <= most:
            raise BadData(f"Example {number} of the {kind} snapshot has {count} responses.", "Make the snapshot again.")
        _require_facts(kind, example.facts, f"Example {number}")
        yield _Row(example.id, example.split, kind, example.prompt, example.responses, example.facts)


def _from_file(path: Path, format: str | None, reasons: bool) -> Iterator[_Row]:
    """Decided items of a data file; each prompt's split is fixed by its hash, as in an import.

    `reasons` takes what its labels say as rationales.
    """
    policy = Policy(reasons=reasons)
    for item in read_file(path, format):
        if isinstance(item, RowError):
            raise BadData(
                f"{path.name}, line {item.line}, {item.field}: {item.reason}", "Correct the line, or remove it."
            )
        where = f"{path.name}, line {item.line}"
        if item.has_media:
            raise BadData(f"{where} holds pictures, sound, video or files.", "Training needs texts.")
        responses, facts = item.responses, training_facts(item.facts)
        if item.kind == "paired":
            decision = decide(item, policy)
            if isinstance(decision, str):
                continue
            responses, facts = decision.responses, decision.facts
        _require_facts(item.kind, facts, where)
        split = split_of("", item.prompt_hash)
        yield _Row(item.id or str(item.line), split, item.kind, item.prompt, responses, facts)


def _require_facts(kind: str, facts: Mapping[str, Any], where: str) -> None:
    if kind == "unpaired" and "desirable" not in facts:
        raise BadData(f"{where} does not say whether its answer is wanted.", "Give it the fact “desirable”.")
    if kind == "ranked" and "ranks" not in facts and "scores" not in facts:
        raise BadData(f"{where} has neither ranks nor scores.", "Give its answers one of them.")
