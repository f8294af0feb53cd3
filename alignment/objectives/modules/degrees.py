"""A head that tells by how much a response was degraded."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class DegreeHead(nn.Module):
    """One number for each degree: a linear map of the hidden state.  It begins as 0, where all degrees are alike."""

    def __init__(self, names: Sequence[str], width: int) -> None:
        super().__init__()
        self.names = list(names)
        self.told = nn.Linear(width, len(self.names))
        nn.init.zeros_(self.told.weight)
        nn.init.zeros_(self.told.bias)

    def forward(self, states: Tensor) -> dict[str, Tensor]:
        """Each degree's number (P,) of hidden states (P, width), by name."""
        return dict(zip(self.names, self.told(states).unbind(1), strict=True))
