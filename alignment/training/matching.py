"""Whether a prompt is one of a wanted answer or of an unwanted one, by how the reference reads it.

People who give a thumb down may ask other things than those who give one up. A logistic regression on the mean hidden
states of prompts tells how probable each is among those of wanted answers: an objective weighs unwanted ones by it
(underlying distribution matching, Jung et al. 2024, arXiv 2404.04656, section 4.2).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from alignment.objectives.batch import Role
from alignment.objectives.facts import WANTED_PROMPT
from alignment.training import kept, whole
from alignment.training.batches import packs
from alignment.training.encode import Encoded, Examples
from alignment.training.errors import BadData, BadSpec
from alignment.training.reference import other

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

    from alignment.training.events import Events
    from alignment.training.scoring import Scoring
    from alignment.training.spec import Spec

MATCHING: Final = "matching.json"
"""The file of a run's folder that keeps what was found: one number for each prompt, by its hash."""
MOST: Final = 10_000  # prompts that the regression is fitted to; of more, as many drawn by lot
STEPS: Final = 1_000  # of its solver, at most


def matched(
    spec: Spec,
    scoring: Scoring,
    tokenizer: PreTrainedTokenizerBase,
    examples: Examples,
    file: Path | None,
    events: Events,
    check: Callable[[], None],
) -> Examples:
    """The examples, each with the probability that its prompt is one of a wanted answer as the fact of that name.

    It is found once, before the first step, and kept in `file`, from which a run that goes on takes it.  Raises BadSpec
    where weights are sharded, BadData where training examples are all wanted or all unwanted.
    """
    if scoring.ranks.sharded:
        raise BadSpec(
            "Prompts are matched by their hidden states, which a model that is sharded over devices does not give.",
            "Choose ddp, or let every unwanted answer weigh the same.",
            "parallel",
        )
    read = json.loads(file.read_text()) if scoring.ranks.first and file is not None and file.is_file() else {}
    known: dict[str, float] = scoring.ranks.told(read)
    every = [*examples.train, *examples.validation]
    if any(name(one) not in known for one in every):
        events.log("reading prompts as the reference does", phase=True, prompts=len({name(one) for one in every}))
        judge = scoring if spec.reference is None else other(spec, spec.reference, scoring, tokenizer)
        known = _found(judge, examples, spec.seed, events, check)
        if file is not None and scoring.ranks.first:
            whole.replace(file, json.dumps(known, indent=0).encode())
    train, validation = ([_given(one, known) for one in part] for part in (examples.train, examples.validation))
    return replace(examples, train=train, validation=validation)


def name(example: Encoded) -> str:
    """What the prompt's number is kept under."""
    return kept.key(replace(example, responses=(), roles=(), asides={})).hex()


def _given(example: Encoded, known: Mapping[str, float]) -> Encoded:
    own = {**example.example.values, WANTED_PROMPT: (known[name(example)],) * len(example.example.responses)}
    return replace(example, example=replace(example.example, values=own))


def _found(
    judge: Scoring, examples: Examples, seed: int, events: Events, check: Callable[[], None]
) -> dict[str, float]:
    """The probability for every prompt, by its name; the same on every rank."""
    prompts = {name(one): one for one in (*examples.train, *examples.validation)}
    states = dict(zip(prompts, embedded(judge, list(prompts.values()), check), strict=True))
    lot = random.Random(seed)
    some = examples.train if len(examples.train) <= MOST else lot.sample(examples.train, MOST)
    labels = np.array([Role.DESIRABLE in one.roles for one in some])
    if labels.all() or not labels.any():
        side = "wanted" if labels.all() else "unwanted"
        raise BadData(
            f"All of the training examples are {side}, so there is nothing to match.",
            "Add answers of the other kind, or let every unwanted answer weigh the same.",
            "snapshots",
        )
    check()
    found = fitted(np.stack([states[name(one)] for one in some]), labels, np.stack(list(states.values())))
    known = judge.ranks.told({one: float(value) for one, value in zip(states, found, strict=True)})
    right = float(np.mean([(known[name(one)] > 0.5) == wanted for one, wanted in zip(some, labels, strict=True)]))
    events.log(f"prompts tell wanted answers from others in {right:.0%} of {len(some)} examples", accuracy=right)
    return known


def fitted(states: NDArray[np.float32], labels: NDArray[np.bool_], asked: NDArray[np.float32]) -> NDArray[np.float64]:
    """The probability of a true label for each of the asked states (N, D), where both labels are as frequent.

    By a logistic regression, on standardized values, with a penalty on its squared weights.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=STEPS))
    found: NDArray[np.float64] = model.fit(states, labels).predict_proba(asked)[:, 1]
    return found


def embedded(judge: Scoring, examples: Sequence[Encoded], check: Callable[[], None]) -> NDArray[np.float32]:
    """The mean of the last hidden state over the tokens of each prompt, (N, D)."""
    # Hidden states are read where a response's tokens are predicted: these are all of the prompt's own.
    laid = [
        replace(one, prompt=one.prompt[:1], responses=([*one.prompt[1:], one.prompt[0]],), roles=(), asides={})
        for one in examples
    ]
    found: dict[int, NDArray[np.float32]] = {}
    for pack in packs(laid, judge.tokens, shared=judge.structure.shared):
        check()
        states = judge.read([laid[place] for place in pack])
        found |= dict(zip(pack, states.cpu().numpy(), strict=True))
    return np.stack([found[place] for place in range(len(laid))])
