"""An anchor that follows the policy: the moving average of what is trained, which then is the reference."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from alignment.training.model import dropout_off


class Anchor:
    """The moving average of a model's trained weights, in float32, by the names that the model gives them."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model, self._decay = model, decay
        self._trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.values: dict[str, Tensor] = {
            name: weight.detach().float().clone() for name, weight in self._trained.items()
        }

    @contextmanager
    def stands(self) -> Iterator[None]:
        """While the model computes with the averages in the place of its weights, and without dropout.

        Autocast keeps its bf16 copies of weights by the tensor, whose `data` are others inside than outside: it makes
        them anew on either side.
        """
        own = {name: weight.data for name, weight in self._trained.items()}
        for name, weight in self._trained.items():
            weight.data = self.values[name].to(weight.dtype)
        torch.clear_autocast_cache()
        try:
            with dropout_off(self._model):  # type: ignore[arg-type]
                yield
        finally:
            for name, weight in self._trained.items():
                weight.data = own[name]
            torch.clear_autocast_cache()

    @torch.no_grad()
    def follow(self) -> None:
        """Move towards the weights as they are now."""
        for name, weight in self._trained.items():
            self.values[name].lerp_(weight.detach().float(), 1 - self._decay)
