"""What a run of a reward model tells about its pairs, by the names of TRL's RewardTrainer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from alignment.objectives.batch import TokenValue

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives import Batch, Objective
    from alignment.training.scorer import Scores

COLUMNS: Sequence[str] = ("loss", "logps", "accuracy", "margin", "mean_reward")
"""What a row holds; `logps` are the scores of the pair added up, as everywhere what the model itself says."""
MEASURED: frozenset[TokenValue] = frozenset()


@torch.no_grad()
def rows(objective: Objective, batch: Batch, losses: Tensor, scores: Scores, aux: Tensor | None) -> Tensor:  # noqa: ARG001
    """One row per example: COLUMNS, the lower and the higher score, any router loss."""
    pairs = batch.pairs()
    better, worse = pairs.chosen.logps, pairs.rejected.logps
    margins, both = better - worse, better + worse
    columns = [losses, both, (margins > 0).float(), margins, both / 2, better.minimum(worse), better.maximum(worse)]
    if aux is not None:
        columns.append(aux.expand(len(losses)))
    return torch.stack([column.detach().float() for column in columns], dim=1)


def columns(*, routed: bool) -> int:
    """How many values a row has."""
    return len(COLUMNS) + 2 + routed


def summed(rows: Tensor) -> Tensor:
    """The rows of a batch as one: means, and of the scores the lowest and the highest."""
    means = rows.mean(dim=0)
    place = len(COLUMNS)
    return torch.cat([means[:place], rows[:, place].min()[None], rows[:, place + 1].max()[None], means[place + 2 :]])


def named(values: Sequence[float]) -> dict[str, float]:
    """The metrics by name, from what `summed` gives."""
    found = dict(zip((*COLUMNS, "min_reward", "max_reward", "aux_loss"), values, strict=False))
    del found["logps"]
    return found
