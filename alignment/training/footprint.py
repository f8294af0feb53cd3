"""Bytes that training holds at once, by part, from the shape of a model: the arithmetic behind estimates.

It counts what autograd keeps of a transformer layer, as `benchmarks/estimates.py` has found it to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pydantic import BaseModel, ConfigDict

from alignment.training.batches import chunk_rows
from alignment.training.structure import BLOCK

if TYPE_CHECKING:
    from alignment.training.folder import CheckpointFacts
    from alignment.training.spec import Precision

NORMS: dict[Precision, int] = {"fp32": 0, "bf16": 16, "pure_bf16": 5}
"""Bytes that the norms keep for each value of the hidden size, because they compute in float32, beyond the rest."""


ANCHOR_BYTES = 4
"""Bytes of each trained weight's moving average, kept in float32."""
OF_ANOTHER = 16
"""Bytes for each value of a chunk of logits of another model: itself, as log-probabilities, as probabilities, and the
product with the policy's."""


class Memory(BaseModel):
    """Bytes by part."""

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


class OwnWork(NamedTuple):
    """What an objective's own modules take: weights that are trained, and values that they keep of each token."""

    weights: int = 0
    values: int = 0


NO_OWN = OwnWork()


@dataclass(frozen=True)
class Work:
    """What is done with a model: `tokens` in the largest pack, of which a share `answers` are predicted."""

    tokens: int
    answers: float
    trainable: int
    lora: bool
    precision: Precision
    device: str
    shared: bool
    blocks: bool = False  # shared rows attend by blocks, and need no mask of their length squared
    others: int = 0  # models that are asked beside the one that is trained
    head: bool = False  # scores are taken of what layers give, and nothing is projected to the vocabulary
    own: OwnWork = NO_OWN
    at_once: int = 1  # packs


def weight_bytes(work: Work) -> int:
    """Bytes of one weight of the model."""
    return 2 if work.precision == "pure_bf16" or (work.lora and work.precision == "bf16") else 4


def state_bytes(trained: int) -> int:
    """Bytes of a training state with so many trained weights: float32 masters and two moments, in every precision."""
    return 12 * trained


def trained_bytes(work: Work) -> int:
    """Bytes of one weight that is trained."""
    return 2 if work.precision == "pure_bf16" else 4


def anchor_bytes(work: Work) -> int:
    """Bytes of the moving average of one trained weight, and of the copy that stands in for a weight that is none."""
    trained = trained_bytes(work)
    return ANCHOR_BYTES + (trained if trained < ANCHOR_BYTES else 0)


def memory(facts: CheckpointFacts, work: Work, reference: int, *, again: bool) -> Memory:
    """The most that each part takes; `again` when layers are computed again in the backward pass."""
    trained, added = trained_bytes(work), (work.trainable if work.lora else 0) + work.own.weights
    moved = work.trainable + work.own.weights
    return Memory(
        weights=facts.parameters * weight_bytes(work) + added * trained,
        gradients=moved * trained,
        optimizer=moved * (8 + (2 if work.precision == "pure_bf16" else 0)),
        activations=work.at_once * _pack(facts, work, again=again),
        reference=reference,
    )


def _pack(facts: CheckpointFacts, work: Work, *, again: bool) -> int:
    """What one pack takes while it is computed."""
    return _layers(facts, work, again=again) + _vocabulary(facts, work) + _masks(work) + _own(work)


def _layers(facts: CheckpointFacts, work: Work, *, again: bool) -> int:
    """What the backward pass needs of the layers: a layer's inputs alone where it is computed again."""
    stream = 2 if work.precision == "pure_bf16" else 4  # bytes of a value that goes from layer to layer
    of_one = work.tokens * _of_token(facts, work)
    kept = facts.layers * work.tokens * facts.hidden * stream + of_one if again else facts.layers * of_one
    casts = 2 * sum(rows * columns for _, rows, columns in facts.linear_shapes) if _casts(work) else 0
    return round(kept) + casts


def _of_token(facts: CheckpointFacts, work: Work) -> float:
    """Bytes that autograd keeps of one token in one layer, counted in layers of Llama's kind.

    The outputs of the linear layers are kept twice, by what follows them and as the input of the next; attention by
    parts keeps its results once more, and keys and values again for every response but the first.
    """
    outputs = sum(rows for _, rows, _ in facts.linear_shapes) / max(facts.layers, 1)
    parts = facts.hidden * (3 - work.answers) if work.shared and work.device == "cpu" else 0.0
    width = 4 if work.precision == "fp32" else 2
    norms = NORMS[work.precision] - (2 * width if work.lora else 0)  # frozen ones keep no inputs
    return width * (2 * outputs + parts) + facts.hidden * norms


def _casts(work: Work) -> bool:
    """Whether autocast makes bf16 copies of the weights."""
    return work.precision == "bf16" and weight_bytes(work) == 4


def _vocabulary(facts: CheckpointFacts, work: Work) -> int:
    """The chunk of logits with its exponentials, those of other models, and the projection's gradient before it is
    added."""
    if work.head:
        return 0
    positions = min(round(work.tokens * work.answers), chunk_rows(work.device, facts.vocabulary))
    logits = positions * facts.vocabulary * ((8 if work.precision == "fp32" else 10) + OF_ANOTHER * work.others)
    head = facts.vocabulary * facts.hidden
    return logits + head * ((0 if work.lora else 4) + (2 if _casts(work) else 0))


def _own(work: Work) -> int:
    """What an objective's own modules keep of the positions where something is predicted."""
    return round(work.tokens * work.answers) * work.own.values * trained_bytes(work)


def _masks(work: Work) -> int:
    """The mask of a shared row, with what it is made from: by blocks, tables of what each token sees of each block."""
    if not work.shared:
        return 0
    return 48 * work.tokens * -(-work.tokens // BLOCK) if work.blocks else 5 * work.tokens**2
