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


LEAN = frozenset({"llama", "mistral", "ministral", "qwen2", "granite", "smollm3", "gemma", "stablelm"})
"""Architectures whose gated networks keep less (`lean`); not those whose further norms keep as much as they save."""
HEAP_CPU = 1.4
"""Bytes that the C library's heap holds for each byte that packs keep: blocks of many sizes leave gaps."""
RUNTIME_CPU = 80 * 2**20
"""Bytes that a process needs beside all that is counted once it computes: code, and buffers of products."""
KERNELS_BF16 = 350 * 2**20
"""Bytes of the kernels that a CPU's library makes for bf16, one for each length that it meets, and keeps."""
ADAPTERS_CPU = 100 * 2**20
"""Bytes of the library that adapters come from, and of all that it loads."""
ANCHOR_BYTES = 4
"""Bytes of each trained weight's moving average, kept in float32."""
OF_ANOTHER = 16
"""Bytes for each value of a chunk of logits of another model: itself, as log-probabilities, as probabilities, and the
product with the policy's."""


class Memory(BaseModel):
    """Bytes by part; `libraries` are there before the first step, `kernels` are made in the course of it."""

    model_config = ConfigDict(frozen=True)

    weights: int
    gradients: int
    optimizer: int
    activations: int
    reference: int
    libraries: int
    kernels: int

    @property
    def total(self) -> int:
        """The most that is held at once."""
        parts: dict[str, int] = self.model_dump()
        return sum(parts.values())


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
        activations=round((HEAP_CPU if work.device == "cpu" else 1) * work.at_once * _pack(facts, work, again=again)),
        reference=reference,
        libraries=RUNTIME_CPU + (ADAPTERS_CPU if work.lora else 0) if work.device == "cpu" else 0,
        kernels=KERNELS_BF16 if work.device == "cpu" and work.precision != "fp32" else 0,
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

    Attention keeps what its projections gave, turned to their positions, and its result; the hidden state is kept
    after attention and after the network, and as the norms leave it.  A gated network keeps what its first two
    projections gave and, where it is not known to keep less, its activation and the product that goes into the third.
    """
    outputs = sum(rows for _, rows, _ in facts.linear_shapes) / max(facts.layers, 1)
    lean = facts.model_type in LEAN and not facts.biased and not work.lora
    kept = outputs + 3 * facts.hidden if lean else 2 * outputs - (2 * facts.hidden if work.lora else 0)
    return (4 if work.precision == "fp32" else 2) * kept + facts.hidden * NORMS[work.precision]


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
    """What says who sees whom in a shared row, with what it is made from: on a CPU for each response what it sees, by
    blocks tables of what each token sees of each block, otherwise a mask.  Masks of short examples together, of at most
    640 bytes a token, are not counted."""
    if not work.shared:
        return 0
    if work.device == "cpu":
        return round(5 * work.answers * work.tokens**2)
    return 48 * work.tokens * -(-work.tokens // BLOCK) if work.blocks else 5 * work.tokens**2
