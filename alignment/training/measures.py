"""What a step or an evaluation tells about its examples, by TRL's names: rows of sums, then metrics of their means.

The chosen side are chosen, wanted and retained responses, and of each list the best; the rejected side are rejected and
unwanted ones, and of each list the worst.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from alignment.objectives.batch import Role, TokenValue
from alignment.objectives.feeding import FORMED

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
SUMMED = (
    "logps",  # of all responses
    "tokens",  # of all responses that are the example's own
    "entropy",
    *(f"{name}/{side}" for side in ("chosen", "rejected") for name in _SIDE),
    "mismatched",
    "moved",  # log-ratios of mismatched responses, or of samples of the policy
)
COLUMNS: Sequence[str] = ("loss", *SUMMED, "ordered", "right")
"""What a row holds, summed over the responses of its example; then any router loss."""


@torch.no_grad()
def rows(objective: Objective, batch: Batch, losses: Tensor, scores: Scores, aux: Tensor | None) -> Tensor:
    """One row per example: COLUMNS, any router loss."""
    count, rewards = len(losses), objective.rewards(batch)
    listed = Role.CANDIDATE in objective.needs.roles
    entropy, top1, logits = (scores.sums(name) for name in (TokenValue.ENTROPY, TokenValue.TOP1, TokenValue.MEAN_LOGIT))
    formed = sum((batch.role == int(role) for role in FORMED), batch.role < 0).to(rewards.dtype)
    chosen, rejected = (side.to(rewards.dtype) for side in _sides(batch, count, listed=listed))
    each = torch.stack([torch.ones_like(rewards), rewards, batch.logps, scores.lengths, logits, top1])
    ratios = torch.zeros_like(rewards) if batch.reference is None else batch.logps - batch.reference
    whole = torch.stack([batch.logps, scores.lengths * (1 - formed), entropy * (1 - formed)])
    signs = ((rewards > 0) * chosen + (rewards < 0) * rejected)[None]
    values = torch.cat([whole, each * chosen, each * rejected, torch.stack([formed, ratios * formed]), signs])
    *sums, signs = values.new_zeros(len(values), count).index_add(1, batch.example, values)
    judged = _ordered_lists(batch, rewards) if listed else _ordered(dict(zip(SUMMED, sums, strict=True)), signs)
    columns = [losses, *sums, *judged]
    if aux is not None:
        columns.append(aux.expand(count))
    return torch.stack([column.detach().float() for column in columns], dim=1)


def _labels(batch: Batch) -> Tensor:
    """How good data say each candidate is, (S,); more is better."""
    return -batch.facts["rank"] if "rank" in batch.facts else batch.facts["score"]


def _sides(batch: Batch, count: int, *, listed: bool) -> tuple[Tensor, Tensor]:
    """Which responses are on the chosen side, and which on the rejected one, (S,)."""
    chosen, rejected = (
        torch.stack([batch.role == int(role) for role in side]).any(dim=0) for side in (CHOSEN, REJECTED)
    )
    if listed:
        labels, one = _labels(batch), batch.role == int(Role.CANDIDATE)
        best, worst = (
            labels.new_zeros(count).scatter_reduce(0, batch.example, labels, which, include_self=False)[batch.example]
            for which in ("amax", "amin")
        )
        chosen, rejected = (
            chosen | (one & (labels == best)),
            rejected | (one & (labels == worst) & (best > worst)),
        )
    return chosen, rejected


def _ordered_lists(batch: Batch, rewards: Tensor) -> tuple[Tensor, Tensor]:
    """How many pairs of each list are in an order, and how many of them rewards order alike, (examples,)."""
    lists = replace(batch, logps=rewards, facts={"label": _labels(batch)}).lists()
    above = lists.above(lists.facts["label"])
    return above.sum(dim=(1, 2)), (above & lists.above(lists.logps)).sum(dim=(1, 2))


def _ordered(sums: Mapping[str, Tensor], signs: Tensor) -> tuple[Tensor, Tensor]:
    """How much of each example could be ordered rightly, and how much of it rewards order so, (examples,).

    A pair is right where chosen earns more than rejected; a single response where its reward has the sign of its label.
    """
    chosen, rejected = sums["number/chosen"], sums["number/rejected"]
    both = (chosen > 0) & (rejected > 0)
    margin = sums["rewards/chosen"] - sums["rewards/rejected"]
    return (chosen + rejected).where(~both, 1.0), signs.where(~both, (margin > 0).to(signs.dtype))


def columns(*, routed: bool) -> int:
    """How many values a row has."""
    return len(COLUMNS) + routed


def summed(rows: Tensor) -> Tensor:
    """The rows of a batch as one: their means."""
    return rows.mean(dim=0)


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
