"""What is to be answered: rows, the prompts that several of them share, and how many there is room for at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from alignment.training.machine import free_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

Finish = Literal["end", "length", "stopped"]
ROWS_AT_ONCE = 64
MOST_BYTES_CPU = 2 << 30
FREE_SHARE = 4  # at most one part in so many of the memory that is free goes to keys and values


@dataclass
class Row:
    """One answer under way: `uniforms` holds a number in [0, 1) for each of its at most `limit` tokens."""

    prompt: list[int]
    cut: int
    limit: int
    uniforms: NDArray[np.float64]
    produced: list[int] = field(default_factory=list)
    finish: Finish | None = None

    def accept(self, token: int, ends: frozenset[int]) -> None:
        """Take the next token, and be finished if it is an end or the last for which there is room."""
        self.produced.append(token)
        if token in ends:
            self.finish = "end"
        elif len(self.produced) == self.limit:
            self.finish = "length"

    @property
    def uniform(self) -> float:
        """The number that the next token is drawn with."""
        return float(self.uniforms[len(self.produced)])


@dataclass(frozen=True)
class Asked:
    """A prompt and the rows that answer it."""

    ids: list[int]
    rows: list[Row]

    @property
    def longest(self) -> int:
        """The most tokens that an answer may have."""
        return max(row.limit for row in self.rows)


@dataclass(frozen=True)
class Room:
    """The most rows at once, and the most tokens whose keys and values are kept."""

    rows: int
    tokens: int


def together(rows: Sequence[Row], most: int) -> list[Asked]:
    """The prompts of the rows, longest first; one with more than `most` rows stands there several times."""
    found: dict[tuple[int, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row.prompt), []).append(row)
    longest = sorted(found.items(), key=lambda item: -len(item[0]))
    return [
        Asked(list(ids), same[start : start + most]) for ids, same in longest for start in range(0, len(same), most)
    ]


def room_for(model: PreTrainedModel) -> Room:
    """How much of the free memory the keys and values of a model's rows may take."""
    device = next(model.parameters()).device
    free = free_bytes(device) // FREE_SHARE
    if device.type != "cuda":
        free = min(free, MOST_BYTES_CPU)
    return Room(ROWS_AT_ONCE, free // _token_bytes(model))


def _token_bytes(model: PreTrainedModel) -> int:
    """Bytes of one token's keys and values in all layers."""
    text: Any = model.config.get_text_config()
    heads = getattr(text, "num_attention_heads", None)
    width = text.hidden_size
    if heads:
        each = getattr(text, "head_dim", None) or text.hidden_size // heads
        width = each * (getattr(text, "num_key_value_heads", None) or heads)
    return int(2 * text.num_hidden_layers * width * next(model.parameters()).element_size())
