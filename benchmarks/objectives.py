"""Objectives: loss and gradient of each on the batch of a step, against the whole step of the toy model."""

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, get_args

from benchmarks.figure import Figure

if TYPE_CHECKING:
    from alignment.objectives import Objective
    from alignment.training.encode import Encoded
    from alignment.training.scoring import Scoring
    from alignment.training.step import Learner

SHARE = 0.01
STEPS, REPEATS = 5, 40
LISTED = 4
STEP_TOKENS = 8


def measure() -> Iterable[Figure]:
    """What a step takes of the processor, and what the costliest objective takes beside it; one thread for both."""
    import torch

    from alignment.objectives import CATALOGUE

    load, threads = os.getloadavg()[0], torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        learner, examples = _toy()
        step = _step_seconds(learner, examples)
        found = {name: _fed(kind, learner.scoring, examples) for name, kind in CATALOGUE.items()}
    finally:
        torch.set_num_threads(threads)
    seconds = {name: value for name, value in found.items() if value is not None}
    dearest = sorted(seconds, key=lambda name: -seconds[name])
    share = seconds[dearest[0]] / step
    size = len(examples) // STEPS
    note = f"DPO, {size} pairs, processor time, median; {load:.1f} processes wanted a processor as it began"
    yield Figure("a step of the toy model", step * 1e3, "ms", note=note)
    yield Figure("an objective, loss and gradient", median(seconds.values()) * 1e3, "ms", note=f"of {len(seconds)}")
    told = ", ".join(f"{name} {seconds[name] * 1e3:.2f} ms" for name in dearest[:3])
    yield Figure("the costliest objective, of a step", share * 100, "%", f"at most {SHARE:.0%}", share <= SHARE, told)
    left = sorted(set(found) - set(seconds))
    yield Figure("objectives that were not measured", len(left), "", note=", ".join(left) or "none")


def _toy() -> "tuple[Learner, list[Encoded]]":
    """The toy model as the toy run trains it, and examples for all the steps."""
    from alignment import chat, toyworld
    from alignment.objectives import Cut
    from alignment.objectives.objective import PAIR
    from alignment.toyworld.recipe import RUN
    from alignment.training import Spec
    from alignment.training.cutting import Cutter
    from alignment.training.data import Wanted, read
    from alignment.training.encode import Encoder
    from alignment.training.model import load_generation_config, load_tokenizer
    from alignment.training.prepare import build

    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "pairs.jsonl"
        source = {"path": str(data), "format": "native"}
        spec = Spec.model_validate({**RUN, "checkpoint": str(toyworld.CHECKPOINT), "snapshots": [source]})
        size = spec.batch.examples_per_step
        toyworld.write_pairs(data, 2 * STEPS * size, 0, form="native")
        tokenizer = load_tokenizer(spec.checkpoint)
        encoder = Encoder(tokenizer, chat.ending(tokenizer, load_generation_config(spec.checkpoint)), spec.length, None)
        found = encoder.encode(read(spec.snapshots, Wanted("DPO", PAIR)), lambda: None)
    learner, _ = build(spec, tokenizer, STEPS)
    cutters = {cut: Cutter(tokenizer, cut) for cut in get_args(Cut)}
    return replace(learner, scoring=replace(learner.scoring, cutters=cutters)), found.train[: STEPS * size]


def _step_seconds(learner: "Learner", examples: "list[Encoded]") -> float:
    """Processor time of an optimizer step with kept references, the median of all after the first."""
    from alignment.training.step import sequence_logps

    known = sequence_logps(learner.scoring, examples, lambda: None)
    state, size, taken = learner.scoring.begun(0), len(examples) // STEPS, []
    for first in range(0, len(examples), size):
        some = slice(first, first + size)
        began = time.process_time()
        _, state = learner.update(examples[some], known[some], state, lambda: None)
        taken.append(time.process_time() - began)
    return median(taken[1:])


def _fed(kind: "type[Objective]", scoring: "Scoring", examples: "list[Encoded]") -> float | None:
    """Processor time of the objective with its defaults, on a batch of what it needs; None where pairs of the toy world
    cannot be made into that.  Facts are the usual ones, and other models say what the policy does, or nearly."""
    from alignment.objectives.facts import find

    facts = kind.usual_needs().facts
    if any(field.is_required() for field in kind.model_fields.values()) or None in map(find, facts):
        return None
    laid = _laid_out(kind, examples[: len(examples) // STEPS])
    return _seconds(kind(), scoring, [_told(one, facts) for one in laid])


def _told(example: "Encoded", facts: frozenset[str]) -> "Encoded":
    """The example with the usual values of some facts: the first response's are the best."""
    from alignment.objectives.facts import find

    values = {}
    for name in facts:
        known = find(name)
        assert known is not None
        best, worst = known.usual
        steps = max(len(example.responses) - 1, 1)
        values[name] = tuple(best + (worst - best) * place / steps for place in range(len(example.responses)))
    return replace(example, example=replace(example.example, values=values))


def _laid_out(kind: "type[Objective]", examples: "list[Encoded]") -> "list[Encoded]":
    """The pairs as the objective wants its responses: as they are, several of them as one list, or apart."""
    from alignment.objectives import Role
    from alignment.objectives.objective import PAIR

    roles = kind.usual_needs().roles
    if Role.CANDIDATE in roles:
        answers = [answer for one in examples for answer in one.responses]
        many = [answers[at : at + LISTED] for at in range(0, len(answers), LISTED)]
        return [
            replace(one, responses=tuple(some), roles=(Role.CANDIDATE,) * len(some))
            for one, some in zip(examples, many, strict=False)
        ]
    if roles >= PAIR:
        others = tuple(sorted(roles - PAIR))
        return [
            replace(one, responses=one.responses + one.responses[:1] * len(others), roles=(*one.roles, *others))
            for one in examples
        ]
    order = sorted(roles)
    apart = [(one, answer) for one in examples for answer in one.responses]
    return [
        replace(one, responses=(answer,), roles=(order[at % len(order)],)) for at, (one, answer) in enumerate(apart)
    ]


def _seconds(objective: "Objective", scoring: "Scoring", examples: "list[Encoded]") -> float:
    """Processor time of state, loss and gradient on those examples, and of cutting them where the objective asks for
    steps, the median of many.

    The gradient goes where the policy decides: not to what other models say of tokens."""
    import torch

    from alignment.objectives import STEP, OtherValue, StepValue, TokenValue, step
    from alignment.training import cutting

    own, wanted = replace(scoring, objective=objective), objective.needs.asked
    with torch.no_grad():
        asked = own.asked._replace(tokens=objective.needs.tokens | own.told.MEASURED | {TokenValue.LOGPS})
        scores = own.scores(examples, asked)
    said = dict(scores.tokens)
    place = torch.cat([torch.arange(len(answer)) for one in examples for answer in one.responses]) // STEP_TOKENS
    said |= {step(cut, StepValue.PLACE): place.float() for cut in objective.needs.steps}
    said |= {name: said[TokenValue.LOGPS] - 0.1 * place for place, name in enumerate(sorted(wanted - said.keys()))}
    scores = scores._replace(tokens=said)
    moving = [name for name in wanted if not name.endswith(f"/{OtherValue.LOGPS}") and not name.startswith(f"{STEP}/")]
    leaves = [scores.logps.requires_grad_(), *(said[name].requires_grad_() for name in moving)]
    sizes = [len(one.responses) for one in examples]
    reference = list(torch.split(scores.logps.detach() - 1.0, sizes))
    batch = own.batch(scores, examples, reference)
    heads = {fact: batch.facts[fact].detach().requires_grad_() for fact, _ in objective.needs.heads}
    batch, leaves = replace(batch, facts={**batch.facts, **heads}), [*leaves, *heads.values()]

    hidden = torch.randn(len(place), own.scorer.model.config.hidden_size)

    def once() -> None:
        for cut in objective.needs.steps:
            cutting.steps_of(own.cutters[cut], examples, own.device).likeness(hidden)
        loss = objective.loss(batch, own.moved(batch, own.begun(0)))
        torch.autograd.grad(loss.sum(), leaves, allow_unused=True)

    return _median(once)


def _median(once: Callable[[], None]) -> float:
    once()
    taken = []
    for _ in range(REPEATS):
        began = time.process_time()
        once()
        taken.append(time.process_time() - began)
    return median(taken)
