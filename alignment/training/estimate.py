"""What a run will take, told before it starts: parameters, memory by part, steps; from headers and counts alone."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from alignment.training.batches import auto_tokens, chunk_rows
from alignment.training.folder import CheckpointFacts, inspect
from alignment.training.schedule import total_steps
from alignment.training.spec import BatchSize, Duration, FullTuning, LoraTuning, Spec

ACTIVATIONS_PER_LAYER = 20
"""Values of the hidden size that a transformer layer keeps per token for its backward pass, roughly."""


class Memory(BaseModel):
    """Bytes by part; activations are a rough figure."""

    model_config = ConfigDict(frozen=True)

    weights: int
    gradients: int
    optimizer: int
    activations: int
    reference: int

    @property
    def total(self) -> int:
        """The most that is held at once."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.reference


class Estimate(BaseModel):
    """What a run will take."""

    model_config = ConfigDict(frozen=True)

    parameters: int
    trainable: int
    memory: Memory
    memory_total: int
    steps: int
    examples_seen: int
    checkpoint_bytes: int


def estimate(spec: Spec, examples: int, device: str = "cpu") -> Estimate:
    """The estimate for a spec with that many training examples.  Raises CheckpointRefused."""
    facts = inspect(spec.checkpoint)
    return estimate_parts(
        facts,
        examples=examples,
        tuning=spec.tuning,
        batch=spec.batch,
        duration=spec.duration,
        precision=spec.precision,
        with_reference=spec.objective.needs.reference != "none",
        reference=spec.reference,
        device=device,
    )


def estimate_parts(
    facts: CheckpointFacts,
    *,
    examples: int,
    tuning: FullTuning | LoraTuning,
    batch: BatchSize,
    duration: Duration,
    precision: str,
    with_reference: bool,
    reference: Path | None = None,
    device: str = "cpu",
) -> Estimate:
    """The same from the parts of a spec, for a form whose dataset is not frozen yet."""
    lora = isinstance(tuning, LoraTuning)
    trainable = adapter_parameters(facts, tuning) if isinstance(tuning, LoraTuning) else facts.parameters
    weights = facts.parameters * (2 if lora and precision == "bf16" else 4) + (4 * trainable if lora else 0)
    steps = total_steps(duration, examples, batch.examples_per_step)
    kept = 2 * 4 * examples if with_reference else 0
    other = 4 * inspect(reference).parameters if reference is not None and with_reference else 0
    memory = Memory(
        weights=weights,
        gradients=4 * trainable,
        optimizer=8 * trainable,
        activations=_activations(facts, batch, precision, device),
        reference=kept + other,
    )
    return Estimate(
        parameters=facts.parameters,
        trainable=trainable,
        memory=memory,
        memory_total=memory.total,
        steps=steps,
        examples_seen=steps * batch.examples_per_step,
        checkpoint_bytes=4 * trainable,
    )


def adapter_parameters(facts: CheckpointFacts, tuning: LoraTuning) -> int:
    """Parameters of the adapters: rank * (inputs + outputs) of each targeted layer."""
    wanted = tuning.targets
    return sum(
        tuning.rank * (rows + columns)
        for name, rows, columns in facts.linear_shapes
        if wanted == "all-linear" or any(name == target or name.endswith(f".{target}") for target in wanted)
    )


def _activations(facts: CheckpointFacts, batch: BatchSize, precision: str, device: str) -> int:
    auto = auto_tokens(device)
    tokens = auto if batch.tokens_per_pack == "auto" else batch.tokens_per_pack
    width = 2 if precision == "bf16" else 4
    layers = tokens * facts.layers * facts.hidden * ACTIVATIONS_PER_LAYER * width
    logits = min(tokens, chunk_rows(device, facts.vocabulary)) * facts.vocabulary * (width + 2 * 4)
    return layers + logits
