"""What a step or an evaluation tells about its examples, by TRL's names: rows of sums, then metrics of their means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from alignment.objectives.batch import TokenValue

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives import Batch, Objective
    from alignment.training.scorer import Scores

METRICS = (
    "loss",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/margins",
    "rewards/accuracies",
    "logps/chosen",
    "logps/rejected",
)
TOKEN_METRICS = ("entropy", "mean_token_accuracy", "logits/chosen", "logits/rejected")
_SUMS = ("tokens/chosen", "tokens/rejected", "entropy", "top1", "logits/chosen", "logits/rejected")
MEASURED = frozenset({TokenValue.ENTROPY, TokenValue.TOP1, TokenValue.MEAN_LOGIT})
"""What the metrics ask about each token: little more than the log-probabilities cost by themselves."""


@torch.no_grad()
def rows(objective: Objective, batch: Batch, losses: Tensor, scores: Scores, aux: Tensor | None) -> Tensor:
    """One row per example: METRICS, what its responses add to the sums behind TOKEN_METRICS, any router loss."""
    rewards, logps = objective.rewards(batch).view(-1, 2), batch.logps.view(-1, 2)
    margins = rewards[:, 0] - rewards[:, 1]
    columns = [losses, *rewards.unbind(1), margins, (margins > 0).float(), *logps.unbind(1)]
    entropy, top1, logits = (
        scores.sums(name).view(-1, 2) for name in (TokenValue.ENTROPY, TokenValue.TOP1, TokenValue.MEAN_LOGIT)
    )
    columns += [*scores.lengths.view(-1, 2).unbind(1), entropy.sum(1), top1[:, 0], *logits.unbind(1)]
    if aux is not None:
        columns.append(aux.expand(len(losses)))
    return torch.stack([column.detach().float() for column in columns], dim=1)


def columns(*, routed: bool) -> int:
    """How many values a row has."""
    return len(METRICS) + len(_SUMS) + routed


def named(means: Sequence[float]) -> dict[str, float]:
    """The metrics by name, from the means of the rows; those of tokens are means over the tokens of all examples."""
    chosen, rejected, entropy, top1, at_chosen, at_rejected, *aux = means[len(METRICS) :]
    tokens = (entropy / (chosen + rejected), top1 / chosen, at_chosen / chosen, at_rejected / rejected)
    found = dict(zip((*METRICS, *TOKEN_METRICS), (*means[: len(METRICS)], *tokens), strict=True))
    return found | dict(zip(("aux_loss",), aux, strict=False))
