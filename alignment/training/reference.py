"""What the reference thinks of every response: computed once, and kept for later runs."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from alignment.objectives import REFERENCE
from alignment.training import kept, precision
from alignment.training.encode import Encoded, Examples
from alignment.training.events import Events
from alignment.training.failures import is_disk_full
from alignment.training.others import frozen, require_same_tokens
from alignment.training.ranks import wrap
from alignment.training.rows import allowed, checked
from alignment.training.scoring import Scoring
from alignment.training.spec import Spec
from alignment.training.step import sequence_logps

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from alignment.training.ranks import Ranks

FRESH = 4  # examples that are asked again: enough to tell other weights, few enough for a second run to start at once


@dataclass(frozen=True)
class Reference:
    """Log-probabilities (K,) of each example's responses under the reference; None for one that no step takes."""

    train: Sequence[Tensor | None]
    validation: Sequence[Tensor]

    def of(self, indices: Sequence[int]) -> list[Tensor]:
        """Those of some training examples that the run takes."""
        return [logps for index in indices if (logps := self.train[index]) is not None]


def compute(
    spec: Spec,
    scoring: Scoring,
    tokenizer: PreTrainedTokenizerBase,
    examples: Examples,
    used: set[int],
    events: Events,
    check: Callable[[], None],
) -> Reference | None:
    """What the reference thinks of every response that the run takes; None when the objective compares with none, or
    asks it at every step.

    Several ranks compute it together and know all of it; rank 0 alone reads and writes what is kept.
    """
    if spec.objective.needs.reference != "sequence":
        return None
    started = time.monotonic()
    indices = sorted(used)
    wanted = [*(examples.train[index] for index in indices), *examples.validation]
    keys = [kept.key(example) for example in wanted]
    ranks = scoring.ranks
    file = kept_file(spec, spec.reference or spec.checkpoint, ranks, events) if ranks.first else None
    with kept.alone(file, check, ranks.told):
        known = ranks.told({} if file is None else file.read())
        fresh = _fresh(spec, scoring, wanted, keys, known, check)
        if not _holds(scoring, fresh, wanted, keys, known):
            events.log("the reference's kept log-probabilities do not fit this model: computing them anew", "warning")
            known = {}
        gone = kept.missing(keys, known)
        if gone:
            events.log("computing the reference", phase=True, examples=len(gone), kept=len(wanted) - len(gone))
            known |= _scored(spec, scoring, tokenizer, [wanted[place] for place in gone], events, check)
            keep(file, known, events)
    seconds = round(time.monotonic() - started, 3)
    floor = _noise_floor(fresh, keys, known)
    events.log("reference computed" if gone else "reference found", seconds=seconds, noise_floor=floor)
    train: list[Tensor | None] = [None] * len(examples.train)
    for index, name in zip(indices, keys, strict=False):
        train[index] = known[name]
    return Reference(train, [known[name] for name in keys[len(indices) :]])


def kept_file(spec: Spec, source: Path, ranks: Ranks, events: Events, **facts: object) -> kept.Kept | None:
    """Where what a checkpoint thinks is kept; None where nothing is.

    `facts` are what decides it beside the weights.
    """
    folder = kept.place()
    if folder is None:
        return None
    if not kept.usable(folder):
        events.log("the reference's log-probabilities are not kept: their folder cannot be written", "warning")
        return None
    weights = str(precision.of_weights(spec))
    name = kept.identity(
        source, folder, precision=spec.precision, weights_as=weights, device=ranks.device.type, **facts
    )
    return kept.Kept(folder, name)


def _scored(
    spec: Spec,
    scoring: Scoring,
    tokenizer: PreTrainedTokenizerBase,
    some: Sequence[Encoded],
    events: Events,
    check: Callable[[], None],
) -> dict[bytes, Tensor]:
    judge = scoring
    if spec.reference is not None:
        judge = other(spec, spec.reference, scoring, tokenizer)
        judge = checked(judge, some, events, check, of="the reference: ")
    found = sequence_logps(judge, some, check)
    del judge
    gc.collect()
    return {kept.key(example): logps for example, logps in zip(some, found, strict=True)}


def keep(file: kept.Kept | None, known: Mapping[bytes, Tensor], events: Events) -> None:
    """Write what is known, unless the disk is full: a run needs it no more than that."""
    try:
        if file is not None:
            file.write(known)
    except Exception as error:  # a full disk has many faces
        if not is_disk_full(error):
            raise
        events.log("the reference's log-probabilities could not be kept: the disk is full", "warning")


def _fresh(
    spec: Spec,
    scoring: Scoring,
    wanted: Sequence[Encoded],
    keys: Sequence[bytes],
    known: Mapping[bytes, Tensor],
    check: Callable[[], None],
) -> dict[int, Tensor]:
    """What the untrained policy gives for a few, by place, kept ones first; nothing where another model judges."""
    if spec.reference is not None:
        return {}
    some = sorted(range(len(wanted)), key=lambda place: keys[place] not in known)[:FRESH]
    found = sequence_logps(scoring, [wanted[place] for place in some], check)
    return dict(zip(some, found, strict=True))


def _holds(
    scoring: Scoring,
    fresh: Mapping[int, Tensor],
    wanted: Sequence[Encoded],
    keys: Sequence[bytes],
    known: Mapping[bytes, Tensor],
) -> bool:
    """Whether kept values are those that the model gives now, up to rounding."""
    return all(
        bool(((now - known[keys[place]]).abs() <= allowed(scoring, now, wanted[place])).all())
        for place, now in fresh.items()
        if keys[place] in known
    )


def _noise_floor(fresh: Mapping[int, Tensor], keys: Sequence[bytes], known: Mapping[bytes, Tensor]) -> float | None:
    """The largest log-ratio of the untrained policy over a few examples, in nats: rounding, never learning."""
    floor = max((float((now - known[keys[place]]).abs().max()) for place, now in fresh.items()), default=math.nan)
    return floor if math.isfinite(floor) else None


def other(spec: Spec, folder: Path, scoring: Scoring, tokenizer: PreTrainedTokenizerBase) -> Scoring:
    """A scoring by another checkpoint.  Raises CheckpointRefused when it reads text differently."""
    require_same_tokens(spec, REFERENCE, folder, tokenizer)
    judge = frozen(spec, folder, scoring.device, REFERENCE)
    wrapped = wrap(scoring.ranks, judge.scorer)
    return replace(scoring, scorer=judge.scorer, wrapped=wrapped, structure=judge.structure)
