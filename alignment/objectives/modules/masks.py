"""Masks over tokens, learned from what another model computes at each of them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class TokenMask(nn.Module):
    """One number for each token, 0 or more: a layer norm, a projection and a ReLU of each layer's hidden state, mixed
    linearly over the layers, and a last ReLU.

    It begins as 1 for every token, whatever the hidden states.
    """

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.projections = nn.ModuleList(nn.Linear(width, 1) for _ in range(layers))
        self.mix = nn.Linear(layers, 1)
        with torch.no_grad():
            for linear in (*self.projections, self.mix):
                nn.init.zeros_(linear.weight)
                nn.init.ones_(linear.bias)
            self.mix.weight.fill_(1 / layers)
            self.mix.bias.zero_()

    def forward(self, states: Tensor) -> Tensor:
        """The mask (P,) of hidden states (P, layers, width)."""
        each = [
            projection(norm(states[:, place])).relu()
            for place, (norm, projection) in enumerate(zip(self.norms, self.projections, strict=True))
        ]
        mask: Tensor = self.mix(torch.cat(each, dim=1)).squeeze(1).relu()  # last, so that it is no view: FSDP minds
        return mask


class TokenMasks(nn.Module):
    """Several masks by name, each with weights of its own."""

    def __init__(self, names: Iterable[str], layers: int, width: int) -> None:
        super().__init__()
        self.masks = nn.ModuleDict({name: TokenMask(layers, width) for name in names})

    def forward(self, states: Tensor) -> dict[str, Tensor]:
        """Each mask (P,) of hidden states (P, layers, width), by name."""
        return {name: mask(states) for name, mask in self.masks.items()}
