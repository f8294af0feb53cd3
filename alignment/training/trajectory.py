"""A recorded run of another trainer, taken again by this one: the same examples in the same order, step by step.

A trajectory is a JSON file: model, data, settings, and what was measured at some of the steps.  Examples are made as
TRL makes them (prompt and answers by the template, the end of what is longer than `max_length` cut off, prompts that
fill it left out), and come in the order of transformers' seeded sampler: for pass e a permutation drawn by a generator
with the seed plus e, the last batch of a pass as short as it is.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from alignment import chat
from alignment.objectives import ObjectiveSpec
from alignment.objectives.dpo import DPO
from alignment.parts import Part
from alignment.training.data import Example
from alignment.training.encode import Encoded
from alignment.training.errors import BadData, BadSpec, TooFewExamples, bad_spec
from alignment.training.events import Events
from alignment.training.spec import BatchSize, Duration, Optimizer, Source, Spec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

AT_ONCE = 512
COMMIT = re.compile("[0-9a-f]{40}")


class Place(Part):
    """A model or data: a repository of a hub, or a path relative to the trajectory's file."""

    hub_id: str | None = None
    revision: str = "main"
    config: str = "default"
    split: str = "train"
    path: Path | None = None

    @property
    def moves(self) -> bool:
        """Whether the hub may give other files than the recorded run had: the revision is no commit."""
        return self.hub_id is not None and COMMIT.fullmatch(self.revision) is None


class Settings(Part):
    """What the recorded run was told; AdamW with the usual moments, weights and arithmetic in float32."""

    objective: ObjectiveSpec = DPO()
    learning_rate: float = Field(1e-6, gt=0, le=1)
    schedule: Literal["cosine", "linear", "constant"] = "linear"
    weight_decay: float = Field(0.0, ge=0, le=1)
    max_grad_norm: float = Field(1.0, gt=0)
    examples_per_step: int = Field(8, ge=1, le=65_536)
    max_length: int = Field(512, ge=2, le=1_048_576)
    seed: int = Field(42, ge=0, le=2**32 - 1)
    steps: int = Field(ge=1, le=100_000)


class Tolerance(Part):
    """What counts as the same: of the loss in nats, of the gradient's norm as a share of it."""

    loss: float = Field(gt=0, allow_inf_nan=False)
    grad_norm: float = Field(gt=0, allow_inf_nan=False)


class Step(Part):
    """What was measured at one step, before the gradient was clipped."""

    step: int = Field(ge=1)
    loss: float = Field(allow_inf_nan=False)
    grad_norm: float = Field(gt=0, allow_inf_nan=False)


class Trajectory(Part):
    """A recorded run."""

    title: str
    source: str = ""
    model: Place
    data: Place
    settings: Settings
    tolerance: Tolerance
    steps: list[Step] = Field(min_length=1)


class Taken(Part):
    """A step taken again, beside what was recorded of it; both None where nothing was."""

    step: int
    loss: float
    grad_norm: float
    recorded: Step | None
    within: bool

    @property
    def loss_difference(self) -> float | None:
        """In nats."""
        return None if self.recorded is None else self.loss - self.recorded.loss

    @property
    def norm_difference(self) -> float | None:
        """As a share of the recorded norm."""
        return None if self.recorded is None else self.grad_norm / self.recorded.grad_norm - 1


def read(path: Path) -> Trajectory:
    """The trajectory of a file.  Raises BadSpec."""
    try:
        found = Trajectory.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise bad_spec(error) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise BadSpec(f"{path.name} is no readable JSON file.", "Name the file of a trajectory.") from None
    last = max(one.step for one in found.steps)
    if last > found.settings.steps or len({one.step for one in found.steps}) < len(found.steps):
        raise BadSpec(
            f"The steps of {path.name} are named twice, or go beyond settings.steps.", "Correct them.", "steps"
        )
    for name, place in (("model", found.model), ("data", found.data)):
        if (place.hub_id is None) == (place.path is None):
            raise BadSpec(f"{name} names neither a hub nor a path, or both.", "Name one of them.", name)
    return found


def take(
    trajectory: Trajectory, model: Path, data: Path, say: Callable[[dict[str, Any]], None], check: Callable[[], None]
) -> Iterator[Taken]:
    """Take the steps again on local copies, one at a time; `say` hears what happens before the first.

    Raises TrainingError, Cancelled.
    """
    from alignment.training import folder as folders
    from alignment.training.model import load_tokenizer
    from alignment.training.prepare import build
    from alignment.training.rows import checked
    from alignment.training.step import sequence_logps

    settings = trajectory.settings
    spec = _spec(settings, model, data)
    folders.inspect(model)
    tokenizer = load_tokenizer(model)
    examples = list(_examples(data, tokenizer, settings.max_length, check))
    batches = list(islice(order(len(examples), settings.examples_per_step, settings.seed), settings.steps))
    with Events(Path(os.devnull), say, alone=False) as events:
        events.log(f"{len(examples)} pairs", pairs=len(examples))
        learner, _ = build(spec, tokenizer, settings.steps)
        wanted = sorted({index for batch in batches for index in batch})
        some = [examples[index] for index in wanted]
        learner = replace(learner, scoring=checked(learner.scoring, some, events, check))
        logps = dict(zip(wanted, sequence_logps(learner.scoring, some, check), strict=True))
        recorded = {one.step: one for one in trajectory.steps}
        state = learner.scoring.begun(settings.seed)
        for number, batch in enumerate(batches, start=1):
            reference = [logps[index] for index in batch]
            values, state = learner.update([examples[index] for index in batch], reference, state, check)
            yield _beside(number, values, recorded.get(number), trajectory.tolerance)


def _beside(number: int, values: dict[str, float], recorded: Step | None, tolerance: Tolerance) -> Taken:
    loss, norm = values["loss"], values["grad_norm"]
    within = recorded is None or (
        abs(loss - recorded.loss) <= tolerance.loss and abs(norm / recorded.grad_norm - 1) <= tolerance.grad_norm
    )
    return Taken(step=number, loss=loss, grad_norm=norm, recorded=recorded, within=within)


def _spec(settings: Settings, model: Path, data: Path) -> Spec:
    optimizer = Optimizer(
        learning_rate=settings.learning_rate,
        schedule=settings.schedule,
        warmup_ratio=0,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
    )
    return Spec(
        checkpoint=model,
        snapshots=[Source(path=data)],
        objective=settings.objective,
        optimizer=optimizer,
        batch=BatchSize(examples_per_step=settings.examples_per_step),
        duration=Duration(steps=settings.steps),
        seed=settings.seed,
    )


def order(examples: int, size: int, seed: int) -> Iterator[list[int]]:
    """Batches without end, in the order of transformers' seeded sampler."""
    import torch

    epoch = 0
    while True:
        generator = torch.Generator()
        generator.manual_seed(seed + epoch)
        drawn = torch.randperm(examples, generator=generator).tolist()
        yield from (drawn[start : start + size] for start in range(0, examples, size))
        epoch += 1


def _examples(
    data: Path, tokenizer: PreTrainedTokenizerBase, most: int, check: Callable[[], None]
) -> Iterator[Encoded]:
    """The pairs of a file of JSON lines as ids.  Raises BadData naming the line, TooFewExamples."""
    pairs, found = _pairs(data), 0
    while some := list(islice(pairs, AT_ONCE)):
        check()
        for encoded in _encoded(some, tokenizer, most):
            found += 1
            yield encoded
    if not found:
        raise TooFewExamples(f"{data.name} holds no pair that fits {most} tokens.", "Name other data.")


def _encoded(pairs: Sequence[Example], tokenizer: PreTrainedTokenizerBase, most: int) -> Iterable[Encoded]:
    try:
        turns = chat.render(tokenizer, [chat.Dialogue(one.prompt, one.responses) for one in pairs])
    except chat.Unrenderable as error:
        raise BadData(f"{pairs[error.index].id}: {error.reason}.", "Remove it, or name another model.") from error
    texts = [text for turn in turns for text in (turn.prompt, *(turn.prompt + answer for answer in turn.responses))]
    ids = chat.encode(tokenizer, texts)
    for pair, prompt, chosen, rejected in zip(pairs, ids[::3], ids[1::3], ids[2::3], strict=True):
        if len(prompt) < most:
            yield Encoded(pair, prompt, tuple(whole[len(prompt) : most] for whole in (chosen, rejected)))


def _pairs(data: Path) -> Iterator[Example]:
    """Lines of `chosen` and `rejected` messages, with `prompt` or with what both begin with as the prompt."""
    try:
        with data.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _pair(f"{data.name}, line {number}", line)
    except (OSError, UnicodeDecodeError):
        raise BadData(f"{data.name} cannot be read as UTF-8 text.", "Name a file of JSON lines.") from None


def _pair(where: str, line: str) -> Example:
    refused = BadData(f"{where} holds no pair of dialogues with one answer each.", "Correct it, or remove it.")
    try:
        row = json.loads(line)
        prompt, chosen, rejected = list(row.get("prompt") or []), list(row["chosen"]), list(row["rejected"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise refused from None
    if not prompt:
        shared = 0
        while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
            shared += 1
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    messages = [*prompt, *chosen, *rejected]
    if not (prompt and len(chosen) == len(rejected) == 1) or not all(_is_message(one) for one in messages):
        raise refused
    return Example(where, "train", prompt, (chosen[0], rejected[0]))


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("role"), str) and isinstance(value.get("content"), str)
