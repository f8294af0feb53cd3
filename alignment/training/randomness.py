"""Where the random number generators of a process stand: dropout, and whatever else draws from them, goes on from
there."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

WORDS = 624  # of a Mersenne Twister, which is what Python and NumPy draw from
Word = Annotated[int, Field(ge=0, lt=2**32)]


class Generators(BaseModel):
    """Python's and NumPy's generators, as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    python: list[Word] = Field(min_length=WORDS + 1, max_length=WORDS + 1)
    python_gauss: float | None
    numpy: list[Word] = Field(min_length=WORDS, max_length=WORDS)
    numpy_position: int = Field(ge=0, le=WORDS)
    numpy_gauss: float | None


@dataclass(frozen=True)
class Randomness:
    """Every generator at one moment; `torch` has the CPU's state first, then that of each accelerator."""

    python: tuple[Any, ...]
    numpy: dict[str, Any]
    torch: list[Tensor]

    def told(self) -> Generators:
        """Python's and NumPy's, as they are written down."""
        _, words, gauss = self.python
        return Generators(
            python=list(words),
            python_gauss=gauss,
            numpy=self.numpy["state"]["key"].tolist(),
            numpy_position=self.numpy["state"]["pos"],
            numpy_gauss=float(self.numpy["gauss"]) if self.numpy["has_gauss"] else None,
        )

    @classmethod
    def of(cls, told: Generators, states: list[Tensor]) -> Randomness:
        """What was written down."""
        numpy = {
            "bit_generator": "MT19937",
            "state": {"key": np.array(told.numpy, dtype=np.uint32), "pos": told.numpy_position},
            "has_gauss": int(told.numpy_gauss is not None),
            "gauss": told.numpy_gauss or 0.0,
        }
        return cls((3, tuple(told.python), told.python_gauss), numpy, states)


def capture() -> Randomness:
    """Where the generators stand now; quick enough for every step."""
    drawn: dict[str, Any] = np.random.get_state(legacy=False)
    states = [torch.get_rng_state()]
    if torch.cuda.is_available():
        states += torch.cuda.get_rng_state_all()
    return Randomness(random.getstate(), drawn, states)


def restore(then: Randomness) -> None:
    """Afterwards the generators stand where they stood; accelerators that were not there then stay as they are.

    Raises ValueError, IndexError, TypeError or RuntimeError when no generator can stand there.
    """
    random.setstate(then.python)
    np.random.set_state(then.numpy)
    torch.set_rng_state(then.torch[0])
    devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for device, state in enumerate(then.torch[1 : 1 + devices]):
        torch.cuda.set_rng_state(state, device)
