"""One optimizer step: packs are scored, the objective says what each response's log-probability is worth, weights move.

The gradient is that of the whole optimizer batch, however it is divided into packs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from alignment.objectives import Batch, Objective, Role, State
from alignment.training.batches import packs
from alignment.training.encode import Encoded
from alignment.training.errors import NonFiniteLoss
from alignment.training.model import Scorer, Scores, collate

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

METRICS = (
    "loss",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/margins",
    "rewards/accuracies",
    "logps/chosen",
    "logps/rejected",
)


@dataclass(frozen=True)
class Scoring:
    """What it takes to score examples: the model, how rows are padded, and how many tokens fit at once."""

    scorer: Scorer
    objective: Objective
    padding: int
    tokens: int
    device: torch.device

    def scores(self, examples: Sequence[Encoded]) -> Scores:
        """Log-probabilities of chosen and rejected of each example, in turn: (2 * examples,)."""
        scores: Scores = self.scorer(*collate(examples, self.padding, self.device))
        return scores

    def batch(self, scores: Scores, reference: Tensor | None) -> Batch:
        """The objective's view of some pairs; `reference` is (examples, 2)."""
        responses = torch.arange(len(scores.logps), device=self.device)
        flat = None if reference is None else reference.to(self.device).flatten()
        roles = torch.where(responses % 2 == 0, int(Role.CHOSEN), int(Role.REJECTED))
        return Batch(scores.logps, scores.lengths, responses // 2, roles, flat)

    def measures(self, batch: Batch, losses: Tensor) -> Tensor:
        """One row per example with the columns of METRICS, detached."""
        with torch.no_grad():
            rewards, logps = self.objective.rewards(batch).view(-1, 2), batch.logps.view(-1, 2)
            margins = rewards[:, 0] - rewards[:, 1]
            columns = [losses, *rewards.unbind(1), margins, (margins > 0).float(), *logps.unbind(1)]
            return torch.stack([column.detach().float() for column in columns], dim=1)


@torch.no_grad()
def sequence_logps(scoring: Scoring, examples: Sequence[Encoded], check: Callable[[], None]) -> Tensor:
    """Log-probabilities (examples, 2) of chosen and rejected, on the CPU: what the reference thinks, kept."""
    found = torch.zeros(len(examples), 2)
    for pack in packs(examples, scoring.tokens):
        check()
        found[pack] = scoring.scores([examples[index] for index in pack]).logps.view(-1, 2).cpu()
    return found


@torch.no_grad()
def evaluate(
    scoring: Scoring, examples: Sequence[Encoded], reference: Tensor | None, state: State, check: Callable[[], None]
) -> dict[str, float]:
    """The mean of every metric over the examples, named `eval/…`."""
    groups = packs(examples, scoring.tokens)
    logps, lengths = torch.zeros(len(examples), 2), torch.zeros(len(examples), 2)
    for pack in groups:
        check()
        scores = scoring.scores([examples[index] for index in pack])
        logps[pack], lengths[pack] = scores.logps.view(-1, 2).cpu(), scores.lengths.view(-1, 2).cpu()
    scores = Scores(logps.flatten().to(scoring.device), lengths.flatten().to(scoring.device))
    batch = scoring.batch(scores, reference)
    losses = scoring.objective.loss(batch, state).expand(len(examples))
    means = scoring.measures(batch, losses).mean(dim=0).tolist()
    return {f"eval/{name}": value for name, value in zip(METRICS, means, strict=True)}


@dataclass(frozen=True)
class Learner:
    """A scoring model with what moves its weights."""

    scoring: Scoring
    accelerator: Accelerator
    optimizer: Optimizer
    schedule: LRScheduler
    parameters: list[torch.nn.Parameter]
    max_grad_norm: float

    def update(
        self, examples: Sequence[Encoded], reference: Tensor | None, state: State, check: Callable[[], None]
    ) -> dict[str, float]:
        """Move the weights by one optimizer step and return the batch's metrics.

        Raises NonFiniteLoss before the weights are touched; whatever `check` raises leaves them untouched too.
        """
        self.optimizer.zero_grad(set_to_none=True)
        measures = self.backward(examples, reference, state, check)
        norm = self.accelerator.clip_grad_norm_(self.parameters, self.max_grad_norm)
        *means, grad_norm = torch.cat([measures.mean(dim=0), norm.detach().float().reshape(1)]).tolist()
        values = dict(zip(METRICS, means, strict=True))
        _require_finite(state.step + 1, values["loss"], grad_norm)
        rate = self.schedule.get_last_lr()[0]
        self.optimizer.step()
        self.schedule.step()
        return {**values, "grad_norm": grad_norm, "learning_rate": float(rate)}

    def backward(
        self, examples: Sequence[Encoded], reference: Tensor | None, state: State, check: Callable[[], None]
    ) -> Tensor:
        """Add the gradient of the mean loss to the parameters; one row of METRICS per example."""
        groups = packs(examples, self.scoring.tokens)
        if self.scoring.objective.needs.coupled:
            return self._coupled(examples, groups, reference, state, check)
        rows = []
        for pack in groups:
            check()
            scores = self.scoring.scores([examples[index] for index in pack])
            batch = self.scoring.batch(scores, None if reference is None else reference[pack])
            losses = self.scoring.objective.loss(batch, state)
            self.accelerator.backward(losses.sum() / len(examples))
            rows.append(self.scoring.measures(batch, losses))
        return torch.cat(rows)

    def _coupled(
        self,
        examples: Sequence[Encoded],
        groups: list[list[int]],
        reference: Tensor | None,
        state: State,
        check: Callable[[], None],
    ) -> Tensor:
        """Score all packs without a graph, ask the objective for d loss / d logps, then weight each pack by it."""
        order = [index for pack in groups for index in pack]
        with torch.no_grad():
            parts = []
            for pack in groups:
                check()
                parts.append(self.scoring.scores([examples[index] for index in pack]))
        logps = torch.cat([part.logps for part in parts]).requires_grad_()
        scores = Scores(logps, torch.cat([part.lengths for part in parts]))
        batch = self.scoring.batch(scores, None if reference is None else reference[order])
        loss = self.scoring.objective.loss(batch, state)
        (weights,) = torch.autograd.grad(loss, logps)
        for pack, weight in zip(groups, torch.split(weights, [2 * len(pack) for pack in groups]), strict=True):
            check()
            again = self.scoring.scores([examples[index] for index in pack])
            self.accelerator.backward((again.logps * weight).sum())
        return self.scoring.measures(batch, loss.expand(len(examples)))


def _require_finite(step: int, loss: float, grad_norm: float) -> None:
    if math.isfinite(loss) and math.isfinite(grad_norm):
        return
    what = "loss" if not math.isfinite(loss) else "gradient"
    raise NonFiniteLoss(
        f"The {what} of step {step} is not finite; the weights were not changed by it.",
        "Lower the learning rate or max_grad_norm, train in fp32, or look for damaged examples.",
        "optimizer.learning_rate",
    )
