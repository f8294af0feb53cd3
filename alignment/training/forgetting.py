"""What a run that forgets has forgotten, and what it has kept: both sets read again at every evaluation.

The set to be forgotten is what the run trains on, since that is what is to go. The set to be retained is held out where
there are such examples, else what the run trains on, too. Numbers are log-probabilities per token, whose negative is
the logarithm of the perplexity; intervals leave out each prompt in turn.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from alignment.meters.jackknife import Value, difference, metered, ratio
from alignment.objectives.batch import Role
from alignment.training import whole
from alignment.training.encode import Encoded
from alignment.training.step import sequence_logps

if TYPE_CHECKING:
    from alignment.training.encode import Examples
    from alignment.training.events import Events
    from alignment.training.scoring import Scoring
    from alignment.training.spec import Spec

FILE: Final = "forgetting.json"
"""The file of a run's folder that keeps what was read before the first step."""
MOST: Final = 200  # answers of each set that are read; of more, as many drawn by lot
SETS: Final[Mapping[str, Role]] = {"forget": Role.UNDESIRABLE, "retain": Role.RETAIN}
WORDS: Final[Mapping[str, str]] = {"forget": "forgotten", "retain": "retained"}


class Forgetting:
    """The two sets of a run, and what was read of them before its first step."""

    def __init__(self, spec: Spec, examples: Examples, folder: Path, events: Events) -> None:
        """Choose the sets, and say so; a run that forgets nothing has none."""
        self._file = folder / FILE
        self._sets: dict[str, list[Encoded]] = {}
        if not spec.objective.needs.forgets:
            return
        facts = {}
        for name, role in SETS.items():
            held = [one for one in examples.validation if role in one.roles] if name == "retain" else []
            every = held or [one for one in examples.train if role in one.roles]
            if every:
                some = every if len(every) <= MOST else random.Random(spec.seed).sample(every, MOST)
                self._sets[name] = some
                facts[name] = {"answers": len(some), "of": len(every), "split": "validation" if held else "train"}
        told = [f"{one['answers']} of {one['of']} answers to be {WORDS[name]}" for name, one in facts.items()]
        events.log(f"forgetting is measured on {' and '.join(told)}", forgetting=facts)

    def __bool__(self) -> bool:
        return bool(self._sets)

    def read(self, scoring: Scoring, check: Callable[[], None], *, first: bool = False) -> dict[str, float]:
        """Log-probability per token of each set, its change since before the `first` step, and bounds of both."""
        found = {
            name: [float(one.sum()) for one in sequence_logps(scoring, examples, check)]
            for name, examples in self._sets.items()
        }
        if first and scoring.ranks.first:
            whole.replace(self._file, json.dumps(found).encode())
        before = found if first else self._before()
        values: dict[str, float] = {}
        for name, examples in self._sets.items():
            now = _per_token(examples, found[name])
            values |= _named(f"{name}/logps", now)
            if len(before.get(name, ())) == len(examples):
                values |= _named(f"{name}/change", difference(now, _per_token(examples, before[name])))
        return values

    def _before(self) -> dict[str, list[float]]:
        try:
            read: dict[str, list[float]] = json.loads(self._file.read_bytes())
        except (OSError, ValueError):
            return {}
        return read


def _per_token(examples: Sequence[Encoded], logps: Sequence[float]) -> Value:
    """All log-probabilities by all tokens, and the same without each of the prompts."""
    prompts = {prompt: place for place, prompt in enumerate(dict.fromkeys(tuple(one.prompt) for one in examples))}
    places = [prompts[tuple(one.prompt)] for one in examples]
    sums = np.bincount(places, weights=logps)
    tokens = np.bincount(places, weights=[len(one.responses[0]) for one in examples])
    left = ratio(sums.sum() - sums, tokens.sum() - tokens)
    return Value(float(sums.sum() / tokens.sum()), left, len(examples))


def _named(name: str, value: Value) -> dict[str, float]:
    """The number and, where it has them, its bounds."""
    found = metered(value)
    if math.isnan(found.low):
        return {name: found.value}
    return {name: found.value, f"{name}/low": found.low, f"{name}/high": found.high}
