"""What a run will take, told before it starts: memory by part, steps, tokens; from headers and counts alone.

`benchmarks/estimates.py` compares the memory with what runs have really taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from alignment.training import footprint
from alignment.training.batches import AT_ONCE, LANES, abreast, auto_tokens
from alignment.training.folder import CheckpointFacts, inspect
from alignment.training.footprint import NO_OWN, Memory, OwnWork, Work
from alignment.training.machine import threads
from alignment.training.schedule import total_steps
from alignment.training.spec import BatchSize, Checkpointing, Duration, FullTuning, LoraTuning, Precision, Spec
from alignment.training.structure import KNOWN, SHARING

USABLE = 0.9  # of the free memory: estimates are not exact
ERROR = 0.25
"""Share of the truth by which the total was wrong at most over the runs of `benchmarks/estimates.py`, rounded up."""
PAIR = 2


def usable(at_once: int) -> float:
    """The share of the free memory that so many packs at once may be counted to take: more than one buys nothing but
    speed, so they must fit even where the count is as wrong as it has ever been."""
    return USABLE if at_once == 1 else 1 - ERROR


class Lengths(BaseModel):
    """Tokens of a run's examples: means of prompts and of responses, and all of the longest example; and how many
    responses an example has."""

    model_config = ConfigDict(frozen=True)

    prompt: float
    response: float
    longest: int
    responses: float = PAIR


class Estimate(BaseModel):
    """What a run will take; tokens are None where the lengths of its examples are not known.

    `tokens` are those of the sequences, the prompt counted with each response; `tokens_computed` those that each pass
    over the examples computes.
    """

    model_config = ConfigDict(frozen=True)

    parameters: int
    trainable: int
    memory: Memory
    memory_total: int
    gradient_checkpointing: bool
    steps: int
    examples_seen: int
    tokens: int | None
    tokens_computed: int | None
    checkpoint_bytes: int
    state_bytes: int


@dataclass(frozen=True)
class Settings:
    """What of a spec decides how much a run takes."""

    tuning: FullTuning | LoraTuning
    batch: BatchSize
    duration: Duration
    precision: Precision
    gradient_checkpointing: Checkpointing
    kept_reference: bool
    others: tuple[Path, ...] = ()
    asked: int = 0  # models that are asked at every step
    head: bool = False
    own: OwnWork = NO_OWN
    anchor: bool = False  # a moving average of what is trained
    abreast: bool = True  # packs may be computed beside each other


def settings_of(spec: Spec) -> Settings:
    """Those of a whole spec."""
    needs = spec.objective.needs
    others = set(spec.others().values())
    if needs.reference == "sequence" and spec.reference is not None:
        others.add(spec.reference)
    return Settings(
        tuning=spec.tuning,
        batch=spec.batch,
        duration=spec.duration,
        precision=spec.precision,
        gradient_checkpointing=spec.gradient_checkpointing,
        kept_reference=needs.reference == "sequence",
        others=tuple(sorted(others)),
        asked=len(needs.live),
        head=spec.kind == "reward_model",
        own=own_work(spec),
        anchor=needs.anchor > 0,
        abreast=abreast(needs, spec.tuning),
    )


def own_work(spec: Spec) -> OwnWork:
    """What the objective's own modules take: of each token the hidden states that they read, and of each value that
    they give as many again.  Raises CheckpointRefused."""
    needs = spec.objective.needs
    if needs.heads:
        width = inspect(spec.checkpoint).hidden
        return OwnWork(spec.objective.own_weights(1, width), 2 * width)
    if not needs.own:
        return NO_OWN
    facts = inspect(spec.reference or spec.checkpoint)
    weights = spec.objective.own_weights(facts.layers, facts.hidden)
    return OwnWork(weights, (1 + len(needs.own)) * facts.layers * facts.hidden)


def estimate(
    spec: Spec, examples: int, device: str = "cpu", lengths: Lengths | None = None, free: int | None = None
) -> Estimate:
    """The estimate for a spec with that many training examples.  Raises CheckpointRefused."""
    return estimate_parts(inspect(spec.checkpoint), settings_of(spec), examples, device, lengths, free)


def estimate_parts(
    facts: CheckpointFacts,
    settings: Settings,
    examples: int,
    device: str = "cpu",
    lengths: Lengths | None = None,
    free: int | None = None,
) -> Estimate:
    """The same from a checkpoint's facts.

    `free` are the bytes that the device has left: where gradient checkpointing is automatic, they decide on it.
    """
    tuning, batch = settings.tuning, settings.batch
    trainable = adapter_parameters(facts, tuning) if isinstance(tuning, LoraTuning) else facts.parameters
    steps = total_steps(settings.duration, examples, batch.examples_per_step)
    seen = steps * batch.examples_per_step
    shared = facts.model_type in SHARING
    work = Work(
        tokens=_largest_pack(batch, examples, device, lengths, shared=shared),
        answers=_share_of_responses(lengths, shared=shared),
        trainable=trainable,
        lora=isinstance(tuning, LoraTuning),
        precision=settings.precision,
        device=device,
        shared=shared,
        blocks=shared and device != "cpu",
        others=settings.asked,
        head=settings.head,
        own=settings.own,
    )
    kept = round((PAIR if lengths is None else lengths.responses) * 4 * examples) if settings.kept_reference else 0
    reference = kept + sum(inspect(other).parameters for other in settings.others) * footprint.weight_bytes(work)
    reference += footprint.anchor_bytes(work) * trainable if settings.anchor else 0
    able = (
        facts.model_type in KNOWN and device == "cpu" and settings.abreast and settings.gradient_checkpointing != "on"
    )
    most = min(LANES, threads()) if able else 1
    works = [
        replace(work, at_once=count, tokens=_largest_pack(batch, examples, device, lengths, count, shared=shared))
        for count in range(most, 0, -1)
    ]
    memory, again = fitted(facts, works, settings.gradient_checkpointing, reference, free)
    return Estimate(
        parameters=facts.parameters,
        trainable=trainable + settings.own.weights,
        memory=memory,
        memory_total=memory.total,
        gradient_checkpointing=again,
        steps=steps,
        examples_seen=seen,
        tokens=None if lengths is None else round(seen * lengths.responses * (lengths.prompt + lengths.response)),
        tokens_computed=None if lengths is None else round(seen * _computed(lengths, shared=shared)),
        checkpoint_bytes=(trainable + settings.own.weights) * footprint.trained_bytes(work),
        state_bytes=footprint.state_bytes(trainable + settings.own.weights)
        + (footprint.ANCHOR_BYTES * trainable if settings.anchor else 0),
    )


def fitted(
    facts: CheckpointFacts, works: Sequence[Work], asked: Checkpointing, reference: int, free: int | None
) -> tuple[Memory, bool]:
    """The memory of the first of several ways of working that fits, the last of which takes least and is taken where
    nothing is known of what is free; and whether layers are computed again: as asked, or where none would fit."""
    again = asked == "on"
    if free is not None and not again:
        for work in works:
            keeping = footprint.memory(facts, work, reference, again=False)
            if keeping.total <= usable(work.at_once) * free:
                return keeping, False
        again = asked == "auto"
    return footprint.memory(facts, works[-1], reference, again=again), again


def adapter_parameters(facts: CheckpointFacts, tuning: LoraTuning) -> int:
    """Parameters of the adapters: rank * (inputs + outputs) of each targeted layer."""
    wanted = tuning.targets
    return sum(
        tuning.rank * (rows + columns)
        for name, rows, columns in facts.linear_shapes
        if wanted == "all-linear" or any(name == target or name.endswith(f".{target}") for target in wanted)
    )


def _computed(lengths: Lengths, *, shared: bool) -> float:
    return (1 if shared else lengths.responses) * lengths.prompt + lengths.responses * lengths.response


def _largest_pack(
    batch: BatchSize, examples: int, device: str, lengths: Lengths | None, lanes: int = 1, *, shared: bool
) -> int:
    """Tokens of the largest pack: one example may exceed what was asked for, and all that there are may not fill it."""
    tokens = auto_tokens(device) if batch.tokens_per_pack == "auto" else batch.tokens_per_pack
    if lengths is None:
        return tokens
    each = _computed(lengths, shared=shared)
    longest = lengths.longest * each / max(_computed(lengths, shared=True), 1.0)
    most = min(batch.examples_per_step, examples, AT_ONCE)
    return round(max(min(tokens, most * each / lanes), longest))


def _share_of_responses(lengths: Lengths | None, *, shared: bool) -> float:
    """Share of the computed tokens at which something is predicted; all of them where nothing is known."""
    return (
        1.0 if lengths is None else lengths.responses * lengths.response / max(_computed(lengths, shared=shared), 1.0)
    )
