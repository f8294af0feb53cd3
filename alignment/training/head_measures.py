"""What a run of a reward model tells about its examples, by the names of TRL's RewardTrainer where it has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from alignment.objectives.batch import Role, TokenValue

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives import Batch, Objective
    from alignment.training.kinds.scored import RewardLoss
    from alignment.training.scorer import Scores

COLUMNS: Sequence[str] = ("loss", "logps", "ordered", "right", "margin", "responses", "rewards")
"""What every row begins with; `logps` is all that the head says, added up, as everywhere what the model itself says."""


@dataclass(frozen=True)
class HeadMeasures:
    """Rows of one loss: `COLUMNS`, of an ensemble its disagreement and each head's loss, the lowest and the highest
    score, any router loss."""

    loss: RewardLoss
    MEASURED: frozenset[TokenValue] = frozenset()

    @torch.no_grad()
    def rows(self, objective: Objective, batch: Batch, losses: Tensor, scores: Scores, aux: Tensor | None) -> Tensor:  # noqa: ARG002
        """One row per example."""
        count, rewards = len(losses), objective.rewards(batch)
        members = self.loss.each(batch)
        said = batch.logps.reshape(len(rewards), -1).sum(1)
        sums = torch.stack([said, torch.ones_like(rewards), rewards])
        said, responses, earned = sums.new_zeros(len(sums), count).index_add(1, batch.example, sums)
        ordered, right, margins = _compared(batch, rewards)
        columns = [losses, said, ordered, right, margins, responses, earned]
        if len(members) > 1:
            each = torch.stack([_compared(one, one.logps)[2] for one in members])
            columns += [each.std(0, correction=0), *map(self.loss.member, members)]
        columns += [
            rewards.new_zeros(count).scatter_reduce(0, batch.example, rewards, which, include_self=False)
            for which in ("amin", "amax")
        ]
        if aux is not None:
            columns.append(aux.expand(count))
        return torch.stack([column.detach().float() for column in columns], dim=1)

    @property
    def _names(self) -> list[str]:
        """What stands before the lowest score."""
        ensemble = ["disagreement", *(f"{label}/loss" for label in self.loss.labels)]
        return [*COLUMNS, *(ensemble if self.loss.members > 1 else ())]

    def columns(self, *, routed: bool) -> int:
        """How many values a row has."""
        return len(self._names) + 2 + routed

    def summed(self, rows: Tensor) -> Tensor:
        """The rows of a batch as one: means, and of the scores the lowest and the highest."""
        means, place = rows.mean(dim=0), len(self._names)
        ends = torch.stack([rows[:, place].min(), rows[:, place + 1].max()])
        return torch.cat([means[:place], ends, means[place + 2 :]])

    def named(self, values: Sequence[float]) -> dict[str, float]:
        """The metrics by name, from what `summed` gives; scores only where they can be compared."""
        found = dict(zip((*self._names, "min_reward", "max_reward", "aux_loss"), values, strict=False))
        ordered, right, responses, rewards = (found.pop(name) for name in ("ordered", "right", "responses", "rewards"))
        del found["logps"]
        if ordered:
            found["accuracy"] = right / ordered
        if self.loss.comparable:
            return found | {"mean_reward": rewards / responses}
        return {name: value for name, value in found.items() if name not in ("min_reward", "max_reward")}


def _compared(batch: Batch, rewards: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How many pairs of each example are in an order, how many of them rewards order alike, and by how much the reward
    of the best exceeds that of the worst, (examples,)."""
    if bool((batch.role == int(Role.CANDIDATE)).any()):
        return _listed(batch, rewards)
    better, worse = batch.sides(rewards)
    margins = better - worse
    return torch.ones_like(margins), (margins > 0).to(margins.dtype), margins


def _listed(batch: Batch, rewards: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    lists = replace(batch, logps=rewards).lists()
    ranks = lists.facts["rank"]
    above = lists.above(-ranks)
    ends = [
        (ranks == ranks.masked_fill(~lists.mask, fill).aminmax(dim=1, keepdim=True)[place]) & lists.mask
        for place, fill in ((0, torch.inf), (1, -torch.inf))
    ]
    best, worst = ((lists.logps * end).sum(1) / end.sum(1) for end in ends)
    return above.sum((1, 2)), (above & lists.above(lists.logps)).sum((1, 2)), best - worst
