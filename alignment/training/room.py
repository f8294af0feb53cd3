"""Whether a run fits the memory of its device, decided once the model is loaded and its examples are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from alignment.amounts import amount
from alignment.training import footprint, lanes, recompute
from alignment.training.batches import AT_ONCE
from alignment.training.errors import BadSpec
from alignment.training.estimate import USABLE, adapter_parameters, own_work, usable
from alignment.training.footprint import Memory, Work
from alignment.training.machine import free_bytes
from alignment.training.spec import LoraTuning, Spec

if TYPE_CHECKING:
    from alignment.training.encode import Encoded, Examples
    from alignment.training.events import Events
    from alignment.training.folder import CheckpointFacts
    from alignment.training.ranks import Ranks
    from alignment.training.scoring import Scoring


def make(
    spec: Spec, facts: CheckpointFacts, scoring: Scoring, examples: Examples, events: Events, begun: int | None = None
) -> Scoring:
    """The scoring with as many packs at once as surely fit; where the run would not fit with one, or where it is asked
    for, layers are computed again from then on.  An event says both.

    A run that has `begun` goes on in as many lanes as it had, so that its sums are rounded alike.

    Raises BadSpec when it is asked for and the model's layers cannot be computed again.
    """
    ranks, free = scoring.ranks, _free(scoring.ranks)
    for way in _ways(spec, scoring, begun):
        scoring = way
        memory = footprint.memory(facts, work_of(spec, facts, scoring, examples.train), 0, again=False)
        fits = not ranks.any(to_come(memory, ranks) > usable(scoring.at_once) * free)
        if fits:
            break
    wanted = spec.gradient_checkpointing == "on" or (spec.gradient_checkpointing == "auto" and not fits)
    able = bool(recompute.layers(scoring.scorer))
    if spec.gradient_checkpointing == "on" and not able:
        raise BadSpec(
            f"The layers of {facts.architecture} cannot be computed again.",
            "Set it to off, and lower batch.tokens_per_pack to save memory.",
            "gradient_checkpointing",
        )
    on = wanted and able
    if on:
        recompute.switch_on(scoring.scorer)
        memory = footprint.memory(facts, work_of(spec, facts, scoring, examples.train), 0, again=True)
    needed = to_come(memory, ranks)
    why = _why(spec, fits=fits, on=on)
    events.log(
        f"gradient checkpointing is {'on' if on else 'off'}, {why}: about {amount(needed)} more are needed,"
        f" and {amount(free)} are free" + (f"; packs at once: {scoring.at_once}" if scoring.at_once > 1 else ""),
        "info" if needed <= USABLE * free else "warning",
        gradient_checkpointing=on,
        why=why,
        needed_bytes=needed,
        memory=memory.model_dump(exclude={"reference"}),
        free_bytes=free,
        packs_at_once=scoring.at_once,
    )
    return scoring


def _why(spec: Spec, *, fits: bool, on: bool) -> str:
    """Why layers are computed again, or why not."""
    if spec.gradient_checkpointing != "auto":
        return "as asked"
    if fits:
        return "it fits"
    return "it would not fit without" if on else "its layers cannot be computed again"


def _ways(spec: Spec, scoring: Scoring, begun: int | None) -> Iterator[Scoring]:
    """The scoring with as many packs at once as there may be, then with fewer, down to one.

    Only then may layers be computed again: such a layer is in training meanwhile, for whoever asks.
    """
    most = 1 if spec.gradient_checkpointing == "on" else lanes.most(spec, scoring)
    kept = begun if begun is None or lanes.able(scoring) else 1
    for count in range(min(most, kept or most), 0, -1):
        yield replace(scoring, lanes=kept or count, at_once=count)


def fits(spec: Spec, facts: CheckpointFacts, scoring: Scoring, some: Sequence[Encoded], tokens: int) -> bool:
    """Whether packs of so many tokens would fit, with layers computed again or not as it has been decided."""
    work = work_of(spec, facts, replace(scoring, tokens=tokens), some)
    needed = footprint.memory(facts, work, 0, again=recompute.is_on(scoring.scorer))
    return to_come(needed, scoring.ranks) <= usable(scoring.at_once) * _free(scoring.ranks)


def _free(ranks: Ranks) -> int:
    """Bytes that are left to each process."""
    return free_bytes(ranks.device) // (ranks.size if ranks.device.type == "cpu" else 1)


def work_of(spec: Spec, facts: CheckpointFacts, scoring: Scoring, some: Sequence[Encoded]) -> Work:
    """What the run does with its model, in the largest of its packs."""
    shared = scoring.structure.shared
    sizes = [one.shared_tokens if shared else len(one.responses) * one.longest for one in some]
    predicted = sum(len(answer) for one in some for answer in one.responses)
    lora = isinstance(spec.tuning, LoraTuning)
    step = round(min(spec.batch.examples_per_step, AT_ONCE) * sum(sizes) / len(sizes))
    return Work(
        tokens=max(min(scoring.tokens, -(-step // scoring.lanes)), *sizes),
        answers=predicted / sum(sizes),
        trainable=adapter_parameters(facts, spec.tuning) if isinstance(spec.tuning, LoraTuning) else facts.parameters,
        lora=lora,
        precision=spec.precision,
        device=scoring.device.type,
        shared=shared,
        blocks=shared and scoring.structure.way == "blocks",
        others=len(spec.objective.needs.live),
        head=spec.kind == "reward_model",
        own=own_work(spec),
        at_once=scoring.at_once,
    )


def to_come(memory: Memory, ranks: Ranks) -> int:
    """Bytes of one device that are not taken yet when the model is loaded and nothing has been trained."""
    shares = ranks.size if ranks.sharded else 1
    return memory.kernels + memory.activations + (memory.gradients + memory.optimizer) // shares
