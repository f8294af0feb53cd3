"""What a run on demonstrations tells about its responses, by the names of TRL's SFTTrainer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from alignment.objectives.batch import TokenValue

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives import Batch, Objective
    from alignment.training.scorer import Scores

COLUMNS: Sequence[str] = ("loss", "logps", "tokens", "entropy", "top1")
"""What a row holds, summed over the tokens of its response."""
MEASURED = frozenset({TokenValue.ENTROPY, TokenValue.TOP1})


@torch.no_grad()
def rows(objective: Objective, batch: Batch, losses: Tensor, scores: Scores, aux: Tensor | None) -> Tensor:  # noqa: ARG001
    """One row per example: COLUMNS, any router loss."""
    sums = [scores.sums(name) for name in (TokenValue.ENTROPY, TokenValue.TOP1)]
    columns = [losses, batch.logps, batch.lengths, *sums]
    if aux is not None:
        columns.append(aux.expand(len(losses)))
    return torch.stack([column.detach().float() for column in columns], dim=1)


def columns(*, routed: bool) -> int:
    """How many values a row has."""
    return len(COLUMNS) + routed


def summed(rows: Tensor) -> Tensor:
    """The rows of a batch as one: their means."""
    return rows.mean(dim=0)


def named(values: Sequence[float]) -> dict[str, float]:
    """The metrics by name, from the means of the rows; those of tokens are means over the tokens of all examples."""
    loss, _, tokens, entropy, top1, *aux = values
    found = {"loss": loss, "entropy": entropy / tokens, "mean_token_accuracy": top1 / tokens}
    return found | dict(zip(("aux_loss",), aux, strict=False))
