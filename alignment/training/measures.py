"""What a step or an evaluation tells about its examples, by TRL's names: rows of sums, then metrics of their means.

The chosen side are chosen, wanted and retained responses, and of each list the best; the rejected side are rejected and
unwanted ones, and of each list the worst.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from alignment.objectives.batch import Role, TokenValue

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
"""What a run on pairs tells; what only one side has is left out where a batch has none of it."""
MEASURED = frozenset({TokenValue.ENTROPY, TokenValue.TOP1, TokenValue.MEAN_LOGIT})
"""What the metrics ask about each token: little more than the log-probabilities cost by themselves."""
CHOSEN, REJECTED = (Role.CHOSEN, Role.DESIRABLE, Role.RETAIN), (Role.REJECTED, Role.UNDESIRABLE)
_SIDE = ("number", "rewards", "logps", "tokens", "logits", "top1")
COLUMNS = (
    "loss",
    "logps",  # of all responses
    "tokens",  # of all responses that are the example's own
    "entropy",
    *(f"{name}/{side}" for side in ("chosen", "rejected") for name in _SIDE),
    "ordered",  # what could be ordered rightly, and what was
    "right",
    "mismatched",
    "moved",  # log-ratios of mismatched responses
)
"""What a row holds, summed over the responses of its example; then any router loss."""


@torch.no_grad()
def rows(objective: Objective, batch: Batch, losses: Tensor, scores: Scores, aux: Tensor | None) -> Tensor:
    """One row per example: COLUMNS, any router loss."""
    count, rewards = len(losses), objective.rewards(batch)
    entropy, top1, logits = (scores.sums(name) for name in (TokenValue.ENTROPY, TokenValue.TOP1, TokenValue.MEAN_LOGIT))
    own = (batch.role != int(Role.MISMATCHED)).to(rewards.dtype)
    chosen, rejected = (side.to(rewards.dtype) for side in _sides(batch))
    each = torch.stack([torch.ones_like(rewards), rewards, batch.logps, scores.lengths, logits, top1])
    ratios = torch.zeros_like(rewards) if batch.reference is None else batch.logps - batch.reference
    values = torch.cat(
        [
            torch.stack([batch.logps, scores.lengths * own, entropy * own]),
            each * chosen,
            each * rejected,
            torch.stack([1 - own, ratios * (1 - own)]),
        ]
    )
    sums = values.new_zeros(len(values), count).index_add(1, batch.example, values)
    ordered, right = _ordered(batch, rewards, chosen, rejected, sums)
    columns = [losses, *sums[:-2], ordered, right, *sums[-2:]]
    if aux is not None:
        columns.append(aux.expand(count))
    return torch.stack([column.detach().float() for column in columns], dim=1)


def _sides(batch: Batch) -> tuple[Tensor, Tensor]:
    """Which responses are on the chosen side, and which on the rejected one, (S,)."""
    chosen, rejected = (
        torch.stack([batch.role == int(role) for role in side]).any(dim=0) for side in (CHOSEN, REJECTED)
    )
    return chosen, rejected


def _ordered(batch: Batch, rewards: Tensor, chosen: Tensor, rejected: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
    """How much of each example could be ordered rightly, and how much rewards order so, (examples,).

    A pair is right where chosen earns more than rejected; a single response where its reward has the sign of its label.
    """
    count = sums.shape[1]
    side = 3
    both = (sums[side] > 0) & (sums[side + len(_SIDE)] > 0)
    margin = sums[side + 1] - sums[side + 1 + len(_SIDE)]
    signs = ((rewards > 0) * chosen + (rewards < 0) * rejected).to(rewards.dtype)
    single = rewards.new_zeros(count).index_add(0, batch.example, signs)
    total = sums[side] + sums[side + len(_SIDE)]
    return torch.where(both, torch.ones_like(total), total), torch.where(both, (margin > 0).to(total.dtype), single)


def columns(*, routed: bool) -> int:
    """How many values a row has."""
    return len(COLUMNS) + routed


def named(means: Sequence[float]) -> dict[str, float]:
    """The metrics by name, from the means of the rows: means over responses, pairs or tokens of all examples."""
    row = dict(zip(COLUMNS, means, strict=False))
    aux = means[len(COLUMNS)] if len(means) > len(COLUMNS) else None
    found: dict[str, float | None] = {"loss": row["loss"]}
    for side in ("chosen", "rejected"):
        for name, per in (("rewards", "number"), ("logps", "number"), ("logits", "tokens")):
            found[f"{name}/{side}"] = _ratio(row[f"{name}/{side}"], row[f"{per}/{side}"])
    if row["number/chosen"] and row["number/rejected"]:
        found["rewards/margins"] = (found["rewards/chosen"] or 0) - (found["rewards/rejected"] or 0)
    found["rewards/accuracies"] = _ratio(row["right"], row["ordered"])
    found["entropy"] = _ratio(row["entropy"], row["tokens"])
    found["mean_token_accuracy"] = _ratio(row["top1/chosen"], row["tokens/chosen"])
    moved = _ratio(row["moved"], row["mismatched"])
    found["kl"] = moved if moved is None else max(moved, 0.0)
    found["aux_loss"] = aux
    return {name: value for name, value in found.items() if value is not None}


def _ratio(whole: float, parts: float) -> float | None:
    return whole / parts if parts else None
