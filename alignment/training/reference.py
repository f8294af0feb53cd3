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
        fresh: dict[int, Tensor] = {}
        gone = kept.missing(keys, known)
        if spec.reference is None or gone:  # another checkpoint is not loaded for a few examples alone
            judge = _judge(spec, scoring, tokenizer, wanted, events, check)
            fresh = _fresh(judge, wanted, keys, known, check)
            if not _holds(judge, fresh, wanted, keys, known):
                events.log(
                    "the reference's kept log-probabilities do not fit its model: computing them anew", "warning"
                )
                known = {}
                gone = kept.missing(keys, known)
            if gone:
                events.log("computing the reference", phase=True, examples=len(gone), kept=len(set(keys)) - len(gone))
                found = sequence_logps(judge, [wanted[place] for place in gone], check)
                known |= {keys[place]: logps for place, logps in zip(gone, found, strict=True)}
                del judge
                gc.collect()
                keep(file, known, events)
    _tell(
        events,
        _noise_floor(fresh, keys, known),
        seconds=round(time.monotonic() - started, 3),
        examples=len(set(keys)),  # of which some may stand in the data twice
        computed=len(gone),
        asked_again=len(fresh),
    )
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


def keep(file: kept.Kept | None, known: Mapping[bytes, Tensor], events: Events) -> None:
    """Write what is known, unless the disk is full: a run needs it no more than that."""
    try:
        if file is not None:
            file.write(known)
    except Exception as error:  # a full disk has many faces
        if not is_disk_full(error):
            raise
        events.log("the reference's log-probabilities could not be kept: the disk is full", "warning")


def _judge(
    spec: Spec,
    scoring: Scoring,
    tokenizer: PreTrainedTokenizerBase,
    wanted: Sequence[Encoded],
    events: Events,
    check: Callable[[], None],
) -> Scoring:
    """A scoring by the reference: the untrained policy, or another checkpoint."""
    if spec.reference is None:
        return scoring
    events.log("loading the reference", phase=True)
    return checked(other(spec, spec.reference, scoring, tokenizer), wanted, events, check, of=REFERENCE)


def _fresh(
    scoring: Scoring,
    wanted: Sequence[Encoded],
    keys: Sequence[bytes],
    known: Mapping[bytes, Tensor],
    check: Callable[[], None],
) -> dict[int, Tensor]:
    """What the reference gives for a few now, by place, kept ones first."""
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
    """Whether kept values are those that the reference gives now, up to rounding."""
    return all(
        bool(((now - known[keys[place]]).abs() <= allowed(scoring, now, wanted[place])).all())
        for place, now in fresh.items()
        if keys[place] in known
    )


def _noise_floor(fresh: Mapping[int, Tensor], keys: Sequence[bytes], known: Mapping[bytes, Tensor]) -> float | None:
    """The largest difference between what the reference gives twice, in nats: rounding, never learning."""
    floor = max((float((now - known[keys[place]]).abs().max()) for place, now in fresh.items()), default=math.nan)
    return floor if math.isfinite(floor) else None


def _tell(
    events: Events, floor: float | None, *, seconds: float, examples: int, computed: int, asked_again: int
) -> None:
    """Say where the reference's log-probabilities come from, and their noise floor or why there is none."""
    unmeasured = None
    if floor is not None:
        said = f"{floor:.2g} nats, the most by which {asked_again} examples asked again differ"
    else:
        not_loaded = "all its log-probabilities were kept, so it was not loaded"
        unmeasured = "what it gives is no number" if asked_again else not_loaded
        said = f"not measured, as {unmeasured}"
    events.log(
        f"reference {'computed' if computed else 'found'}: noise floor {said}",
        seconds=seconds,
        examples=examples,
        computed=computed,
        asked_again=asked_again,
        noise_floor=floor,
        unmeasured=unmeasured,
    )


def other(spec: Spec, folder: Path, scoring: Scoring, tokenizer: PreTrainedTokenizerBase) -> Scoring:
    """A scoring by another checkpoint.  Raises CheckpointRefused when it reads text differently."""
    require_same_tokens(spec, REFERENCE, folder, tokenizer)
    judge = frozen(spec, folder, scoring.device, REFERENCE)
    wrapped = wrap(scoring.ranks, judge.scorer)
    return replace(scoring, scorer=judge.scorer, wrapped=wrapped, structure=judge.structure)
