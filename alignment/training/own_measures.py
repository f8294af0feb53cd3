"""What a run tells of the values that its objective's own modules give tokens: their means, and how many are 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from alignment.objectives import own

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives import Batch, Objective
    from alignment.training.scorer import Scores
    from alignment.training.scoring import Measures


class OwnMeasures:
    """The measures of a kind of run, and after them, summed over the tokens of each example, one of each token, the
    values, and whether they are 0."""

    def __init__(self, told: Measures, names: frozenset[str]) -> None:
        self._told, self._names = told, sorted(names)
        self._more = 1 + 2 * len(names)
        self.MEASURED = told.MEASURED

    @torch.no_grad()
    def rows(self, objective: Objective, batch: Batch, losses: Tensor, scores: Scores, aux: Tensor | None) -> Tensor:
        """One row per example: those of the kind, then those of the values."""
        tokens = batch.each_token()
        values = torch.stack([tokens.values[own(name)].float() for name in self._names])
        each = torch.cat([torch.ones_like(values[:1]), values, (values == 0).float()])
        sums = each.new_zeros(self._more, len(losses)).index_add(1, batch.example[tokens.sequence], each)
        return torch.cat([self._told.rows(objective, batch, losses, scores, aux), sums.T], dim=1)

    def columns(self, *, routed: bool) -> int:
        """How many values a row has."""
        return self._told.columns(routed=routed) + self._more

    def summed(self, rows: Tensor) -> Tensor:
        """The rows of a batch as one."""
        return torch.cat([self._told.summed(rows[:, : -self._more]), rows[:, -self._more :].mean(dim=0)])

    def named(self, values: Sequence[float]) -> dict[str, float]:
        """The metrics by name, from what `summed` gives; those of values are over the tokens of all examples."""
        tokens, *more = values[-self._more :]
        names = [*(own(name) for name in self._names), *(f"{own(name)}/zeros" for name in self._names)]
        found = {name: whole / tokens for name, whole in zip(names, more, strict=True)}
        return self._told.named(values[: -self._more]) | found
