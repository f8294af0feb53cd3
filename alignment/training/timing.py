"""How long a run will take on a machine of which is known only how fast it computes, told before the run starts.

`probe.py` measures that; `benchmarks/estimates.py` compares what is told with what runs have really taken.
"""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from alignment.training.estimate import Estimate, Lengths
from alignment.training.flops import Work, triangle
from alignment.training.folder import inspect
from alignment.training.spec import SAMPLE_TOKENS, LoraTuning, Precision, Spec
from alignment.training.structure import SHARING

SHARE = 0.75
"""Share of the probe's speed that training reaches.  On a CPU it was 0.55 to 0.95, by its processor time: in ten runs
of the toy world's model and of Llamas of 1, 9 and 30 million weights, whole and with adapters, in fp32 and bf16, with
short and long prompts, layers kept and computed again; the benchmark judges by shapes like these."""
SPREAD = (0.5, 2.0)
"""Shares of what is expected outside which a run seldom is: beside `SHARE`, what else the machine does is not known,
neither now nor when it was measured."""
TO_BEGIN = 10.0
"""Seconds in which a process imports, loads and tries what it needs before its first step."""
DRAWING = 1e-3
"""Seconds that a layer takes for the next token of all answers that are drawn: its many small operations, which take
that long however small the model is."""

PATIENCE_SECONDS = 45.0  # a worker that is silent for a minute counts as gone
PROBE = "alignment.training.probe"

Width = Annotated[int, Field(gt=0, le=2**20)]
Reached = Annotated[float, Field(ge=1.0, le=1e30)]
Curve = Annotated[tuple[tuple[Width, Reached], ...], Field(min_length=1, max_length=64)]


class Speed(BaseModel):
    """FLOP/s that a device reaches in a step of one layer, by the layer's width, which rises; in both arithmetics."""

    model_config = ConfigDict(frozen=True)

    fp32: Curve
    bf16: Curve

    @field_validator("fp32", "bf16")
    @classmethod
    def _rises(cls, curve: Curve) -> Curve:
        widths = [width for width, _ in curve]
        if widths != sorted(set(widths)):
            raise ValueError("widths rise")
        return curve

    def at(self, width: int, precision: Precision) -> float:
        """FLOP/s at a width: between two that were measured as a power of it, beyond them as at the nearest."""
        widths, reached = np.log(self.fp32 if precision == "fp32" else self.bf16).T
        return math.exp(np.interp(math.log(max(width, 1)), widths, reached))


def measured() -> Speed | None:
    """The speed of this machine, measured by a process of its own, so that this one need not load torch; None where it
    could not be."""
    command = [sys.executable, "-m", PROBE]
    try:
        told = subprocess.run(command, stdout=subprocess.PIPE, timeout=PATIENCE_SECONDS, check=True)  # noqa: S603
        return Speed.model_validate_json(told.stdout)
    except (OSError, subprocess.SubprocessError, ValidationError):
        return None


def seconds(
    spec: Spec, found: Estimate, lengths: Lengths, examples: int, validation: int, speed: Speed, devices: int = 1
) -> tuple[float, float]:
    """Low and high seconds of a run with so many examples to train on and to be evaluated by, on so many devices of
    that speed.  Raises CheckpointRefused."""
    needs, others, facts = spec.objective.needs, spec.others(), inspect(spec.checkpoint)
    policy = _forward(spec.checkpoint, spec, lengths)
    live = sum(_forward(folder, spec, lengths) for folder in others.values())
    live += (len(needs.live) - len(others)) * policy  # the model itself, with other weights or without its adapters
    backward = 1 if isinstance(spec.tuning, LoraTuning) else 2  # gradients of values, and of whole weights
    passes = 1 + backward + found.gradient_checkpointing
    evaluations = math.ceil(found.steps / spec.evaluate.every_steps)
    flops = found.examples_seen * (passes * policy + live) + evaluations * validation * (policy + live)
    if needs.reference == "sequence":
        asked = min(examples, found.examples_seen) + validation
        flops += asked * _forward(spec.reference or spec.checkpoint, spec, lengths)
    drawn = found.steps * needs.sample_tokens
    if spec.evaluate.samples and spec.kind != "reward_model":
        drawn += evaluations * min(spec.length.max_response_tokens, SAMPLE_TOKENS)
    computing = flops / (SHARE * devices * speed.at(facts.hidden, spec.precision))
    expected = TO_BEGIN + computing + drawn * facts.layers * DRAWING
    return expected * SPREAD[0], expected * SPREAD[1]


def _forward(folder: Path, spec: Spec, lengths: Lengths) -> float:
    """FLOPs of a model's forward pass over an example of the mean lengths: 2 for each weight that a token meets."""
    facts = inspect(folder)
    prompts = 1 if facts.model_type in SHARING else lengths.responses
    answers = lengths.responses * lengths.response
    pairs = prompts * triangle(lengths.prompt)
    pairs += lengths.responses * (triangle(lengths.response) + lengths.prompt * lengths.response)
    head = 0 if spec.kind == "reward_model" else facts.vocabulary * facts.hidden
    work = Work(token=2 * facts.active, position=2 * head, pair=4 * facts.hidden * facts.layers)
    return work.of(prompts * lengths.prompt + answers, answers, pairs)
