"""FLOPs of a language model's passes: what tokens, predicted positions and attention cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """FLOPs of the passes that are counted together, such as the forward and backward pass of a training step."""

    token: float  # for each token of the backbone, without attention
    position: float  # for each position that is projected to the vocabulary
    pair: float  # for each pair of a token and one that it attends to, over all layers

    def of(self, tokens: float, positions: float, pairs: float) -> float:
        """FLOPs of so many of each."""
        return self.token * tokens + self.position * positions + self.pair * pairs


def triangle(length: float) -> float:
    """Pairs of a token and what it attends to in a sequence: itself, and what stands before it."""
    return length * (length + 1) / 2
