"""One optimizer step: packs are scored, the objective says what each response's log-probability is worth, weights move.

The gradient is that of the whole optimizer batch, however it is divided into packs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from alignment.objectives import Batch, Objective, State
from alignment.training import layout
from alignment.training.batches import packs
from alignment.training.encode import Encoded
from alignment.training.errors import NonFiniteLoss
from alignment.training.ranks import Ranks, turns
from alignment.training.scorer import Scorer, Scores
from alignment.training.structure import Structure

if TYPE_CHECKING:
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
    """What it takes to score examples: the model, how its rows are laid out, and how many tokens fit at once.

    `wrapped` is called in the place of `scorer`: the same, or what keeps the ranks' copies of it alike.
    """

    scorer: Scorer
    wrapped: nn.Module
    objective: Objective
    structure: Structure
    padding: int
    tokens: int
    ranks: Ranks

    @property
    def device(self) -> torch.device:
        """Where this rank computes."""
        return self.ranks.device

    def packs(self, examples: Sequence[Encoded]) -> list[list[int]]:
        """Positions of this rank's examples in groups that are computed together; where others have more of them, it
        ends with empty ones."""
        shares = self._shares(examples)
        mine = shares[self.ranks.rank]
        return mine + [[] for _ in range(max(map(len, shares)) - len(mine))]

    def _shares(self, examples: Sequence[Encoded]) -> list[list[list[int]]]:
        """The groups of every rank."""
        shared = self.structure.shared
        if self.ranks.size == 1:
            return [packs(examples, self.tokens, shared=shared)]
        costs = [one.shared_tokens if shared else one.longest * len(one.responses) for one in examples]
        shares = []
        for share in self.ranks.divide(costs):
            groups = packs([examples[index] for index in share], self.tokens, shared=shared)
            shares.append([[share[place] for place in pack] for pack in groups])
        return shares

    def computed(self, examples: Sequence[Encoded]) -> int:
        """Tokens of the forward passes that score the examples once, padding included."""
        if self.structure.shared:
            return sum(example.shared_tokens for example in examples)
        return sum(
            sum(len(examples[index].responses) for index in pack) * max(examples[index].longest for index in pack)
            for share in self._shares(examples)
            for pack in share
        )

    def scores(self, examples: Sequence[Encoded]) -> Scores:
        """Log-probabilities of the responses of each example, in turn: (S,)."""
        if self.structure.shared:
            laid = layout.shared(examples, self.structure.distinct, self.device)
        else:
            laid = layout.plain(examples, self.padding, self.device)
        scores: Scores = self.wrapped(laid, self.structure)
        return scores

    def idle(self, examples: Sequence[Encoded]) -> Tensor:
        """Nothing, computed like a pack: what a rank does while others have more to do than it, since all of them
        gather weights and sum gradients together.  Zero, with a gradient of zeros."""
        return self.scores([min(examples, key=lambda example: example.longest)]).logps.sum() * 0

    def batch(self, scores: Scores, examples: Sequence[Encoded], reference: Sequence[Tensor] | None) -> Batch:
        """The objective's view of some examples; `reference` has the (K,) log-probabilities of each one's responses."""
        counts = torch.tensor([len(example.responses) for example in examples])
        numbers = torch.arange(len(examples)).repeat_interleave(counts).to(self.device)
        roles = torch.tensor([int(role) for example in examples for role in example.roles], device=self.device)
        flat = None if reference is None else torch.cat(list(reference)).to(self.device)
        return Batch(scores.logps, scores.lengths, numbers, roles, flat)

    def measures(self, batch: Batch, losses: Tensor) -> Tensor:
        """One row per example with the columns of METRICS, detached."""
        with torch.no_grad():
            rewards, logps = self.objective.rewards(batch).view(-1, 2), batch.logps.view(-1, 2)
            margins = rewards[:, 0] - rewards[:, 1]
            columns = [losses, *rewards.unbind(1), margins, (margins > 0).float(), *logps.unbind(1)]
            return torch.stack([column.detach().float() for column in columns], dim=1)


@torch.no_grad()
def sequence_logps(scoring: Scoring, examples: Sequence[Encoded], check: Callable[[], None]) -> list[Tensor]:
    """Log-probabilities (K,) of each example's responses, on the CPU: what the reference thinks, kept."""
    return _split(_measured(scoring, examples, check).logps.cpu(), examples)


@torch.no_grad()
def _measured(scoring: Scoring, examples: Sequence[Encoded], check: Callable[[], None]) -> Scores:
    """Scores of all responses in the order of the examples, whatever packs and ranks they were computed in."""
    if not examples:
        return Scores(torch.zeros(0), torch.zeros(0))
    responses = sum(len(example.responses) for example in examples)
    where = _split(torch.arange(responses), examples)
    found = torch.zeros(2, responses, device=scoring.device)
    for pack in scoring.packs(examples):
        check()
        if not pack:
            scoring.idle(examples)
            continue
        part = scoring.scores([examples[index] for index in pack])
        found[:, torch.cat([where[index] for index in pack])] = torch.stack(part)
    return Scores(*scoring.ranks.total(found))


def _split(flat: Tensor, examples: Sequence[Encoded]) -> list[Tensor]:
    return list(torch.split(flat, [len(example.responses) for example in examples]))


@torch.no_grad()
def evaluate(
    scoring: Scoring,
    examples: Sequence[Encoded],
    reference: Sequence[Tensor] | None,
    state: State,
    check: Callable[[], None],
) -> dict[str, float]:
    """The mean of every metric over the examples, named `eval/…`."""
    batch = scoring.batch(_measured(scoring, examples, check), examples, reference)
    losses = scoring.objective.loss(batch, state).expand(len(examples))
    means = scoring.measures(batch, losses).mean(dim=0).tolist()
    return {f"eval/{name}": value for name, value in zip(METRICS, means, strict=True)}


@dataclass(frozen=True)
class Learner:
    """A scoring model with what moves its weights."""

    scoring: Scoring
    optimizer: Optimizer
    schedule: LRScheduler
    parameters: list[torch.nn.Parameter]
    max_grad_norm: float

    def update(
        self, examples: Sequence[Encoded], reference: Sequence[Tensor] | None, state: State, check: Callable[[], None]
    ) -> dict[str, float]:
        """Move the weights by one optimizer step and return the batch's metrics.

        Raises NonFiniteLoss before the weights are touched; whatever `check` raises leaves them untouched too.
        """
        self.optimizer.zero_grad(set_to_none=True)
        measures = self.backward(examples, reference, state, check)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.max_grad_norm)
        if isinstance(norm, DTensor):
            norm = norm.full_tensor()
        *means, grad_norm = torch.cat([measures.mean(dim=0), norm.detach().float().reshape(1)]).tolist()
        values = dict(zip(METRICS, means, strict=True))
        _require_finite(state.step + 1, values["loss"], grad_norm)
        rate = self.schedule.get_last_lr()[0]
        self.optimizer.step()
        self.schedule.step()
        return {**values, "grad_norm": grad_norm, "learning_rate": float(rate)}

    def backward(
        self, examples: Sequence[Encoded], reference: Sequence[Tensor] | None, state: State, check: Callable[[], None]
    ) -> Tensor:
        """Add the gradient of the mean loss to the parameters; one row of METRICS per example."""
        scoring = self.scoring
        groups = scoring.packs(examples)
        if scoring.objective.needs.coupled:
            return self._coupled(examples, groups, reference, state, check)
        rows = torch.zeros(len(examples), len(METRICS), device=scoring.device)
        for pack in turns(scoring.wrapped, groups):
            check()
            if not pack:
                torch.autograd.backward(scoring.idle(examples))
                continue
            some = [examples[index] for index in pack]
            batch = scoring.batch(scoring.scores(some), some, _of(reference, pack))
            losses = scoring.objective.loss(batch, state)
            torch.autograd.backward(losses.sum() / len(examples) * scoring.ranks.size)
            rows[pack] = scoring.measures(batch, losses)
        return scoring.ranks.total(rows)

    def _coupled(
        self,
        examples: Sequence[Encoded],
        groups: list[list[int]],
        reference: Sequence[Tensor] | None,
        state: State,
        check: Callable[[], None],
    ) -> Tensor:
        """Score all packs without a graph, ask the objective for d loss / d logps, then weight each pack by it."""
        scoring = self.scoring
        found = _measured(scoring, examples, check)
        logps = found.logps.requires_grad_()
        batch = scoring.batch(Scores(logps, found.lengths), examples, reference)
        loss = scoring.objective.loss(batch, state)
        weights = _split(torch.autograd.grad(loss, logps)[0] * scoring.ranks.size, examples)
        for pack in turns(scoring.wrapped, groups):
            check()
            if not pack:
                torch.autograd.backward(scoring.idle(examples))
                continue
            again = scoring.scores([examples[index] for index in pack])
            torch.autograd.backward((again.logps * torch.cat([weights[index] for index in pack])).sum())
        return scoring.measures(batch, loss.expand(len(examples)))


def _of(reference: Sequence[Tensor] | None, indices: Sequence[int]) -> list[Tensor] | None:
    return None if reference is None else [reference[index] for index in indices]


def _require_finite(step: int, loss: float, grad_norm: float) -> None:
    if math.isfinite(loss) and math.isfinite(grad_norm):
        return
    what = "loss" if not math.isfinite(loss) else "gradient"
    raise NonFiniteLoss(
        f"The {what} of step {step} is not finite; the weights were not changed by it.",
        "Lower the learning rate or max_grad_norm, train in fp32, or look for damaged examples.",
        "optimizer.learning_rate",
    )
