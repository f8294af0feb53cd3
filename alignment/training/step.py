"""One optimizer step: packs are scored, the objective says what each response's log-probability is worth, weights move.

The gradient is that of the whole optimizer batch, however it is divided into packs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from alignment.objectives import State
from alignment.training.encode import Encoded
from alignment.training.finite import require_finite
from alignment.training.precision import clip
from alignment.training.scorer import Scores
from alignment.training.scoring import NOTHING, Asked, Scoring
from alignment.training.vocabulary import Values, without_gradient

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


class Updated(NamedTuple):
    """What a step leaves behind beside moved weights: its metrics, and the state that the next step finds."""

    metrics: dict[str, float]
    state: State


@torch.no_grad()
def sequence_logps(scoring: Scoring, examples: Sequence[Encoded], check: Callable[[], None]) -> list[Tensor]:
    """Log-probabilities (K,) of each example's responses, on the CPU: what the reference thinks, kept."""
    return _split(_measured(scoring, examples, check).logps.cpu(), examples)


@torch.no_grad()
def _measured(
    scoring: Scoring, examples: Sequence[Encoded], check: Callable[[], None], asked: Asked = NOTHING
) -> Scores:
    """Scores of all responses in the order of the examples, whatever packs and ranks they were computed in."""
    if not examples:
        return Scores(torch.zeros(0), torch.zeros(0), torch.zeros(0, dtype=torch.long), {})
    device, names = scoring.device, sorted(asked.tokens)
    lengths = torch.tensor([len(answer) for example in examples for answer in example.responses], device=device)
    response = torch.arange(len(lengths), device=device).repeat_interleave(lengths)
    where = _split(torch.arange(len(lengths)), examples)
    token_where = _split(torch.arange(len(response)), examples, tokens=True)
    logps = torch.zeros(len(lengths), *scoring.scorer.shape, device=device)
    values = torch.zeros(len(names), len(response), device=device)
    routed = torch.zeros(2, scoring.scorer.experts, device=device) if asked.router and scoring.routes else None

    def scored(pack: list[int]) -> tuple[Tensor, Values, Tensor | None]:
        if not pack:
            scoring.idle(examples, asked)
            return logps[:0], {}, None
        part = scoring.scores([examples[index] for index in pack], asked)
        return part.logps, part.tokens, part.routed

    groups = scoring.packs(examples)
    for pack, (sums, tokens, chosen) in zip(groups, scoring.each(groups, scored, check), strict=True):
        if not pack:
            continue
        logps[torch.cat([where[index] for index in pack])] = sums
        if names:
            places = torch.cat([token_where[index] for index in pack])
            values[:, places] = torch.stack([tokens[name] for name in names])
        if routed is not None and chosen is not None:
            routed += chosen
    total = scoring.ranks.total
    told = dict(zip(names, total(values), strict=True))
    return Scores(total(logps), lengths.float(), response, told, None if routed is None else total(routed))


def _split(flat: Tensor, examples: Sequence[Encoded], *, tokens: bool = False) -> list[Tensor]:
    """The values of each example's responses, or of all their tokens."""
    return list(torch.split(flat, _sizes(examples, tokens=tokens)))


def _sizes(examples: Sequence[Encoded], *, tokens: bool) -> list[int]:
    return [sum(map(len, example.responses)) if tokens else len(example.responses) for example in examples]


def _kept(parts: Sequence[Tensor], examples: Sequence[Encoded], *, tokens: bool) -> list[Tensor]:
    """Of each example's values those of the responses that it still has, which are the first."""
    return [part[:size] for part, size in zip(parts, _sizes(examples, tokens=tokens), strict=True)]


@torch.no_grad()
def evaluate(
    scoring: Scoring,
    examples: Sequence[Encoded],
    reference: Sequence[Tensor] | None,
    state: State,
    check: Callable[[], None],
) -> dict[str, float]:
    """The mean of every metric over the examples, named `eval/…`; the objective's state stays as it is."""
    state = state._replace(training=False, moved=state.values)
    scores = _measured(scoring, examples, check, scoring.asked)
    batch = scoring.batch(scores, examples, reference)
    losses = scoring.losses(batch, scores, state, len(examples))
    values = scoring.told.summed(scoring.measures(batch, losses, scores)).tolist()
    return {f"eval/{name}": value for name, value in scoring.told.named(values).items()}


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
    ) -> Updated:
        """Move the weights by one optimizer step.

        Raises NonFiniteLoss before the weights are touched; whatever `check` raises leaves them untouched too.
        """
        self.optimizer.zero_grad(set_to_none=True)
        found, state = self.backward(examples, reference, state._replace(training=True), check)
        told = self.scoring.told
        norm = self.scoring.ranks.whole(clip(self.parameters, self.max_grad_norm))
        *means, grad_norm = torch.cat([told.summed(found), norm.detach().float().reshape(1)]).tolist()
        values = told.named(means)
        require_finite(state.step + 1, found, values["loss"], grad_norm, examples)
        rate = self.schedule.get_last_lr()[0]
        self.optimizer.step()
        self.schedule.step()
        if self.scoring.scorer.anchor is not None:
            self.scoring.scorer.anchor.follow()
        state = State(state.step + 1, state.seed, values=state.moved)
        return Updated({**values, "grad_norm": grad_norm, "learning_rate": float(rate)}, state)

    def backward(
        self, examples: Sequence[Encoded], reference: Sequence[Tensor] | None, state: State, check: Callable[[], None]
    ) -> tuple[Tensor, State]:
        """Add the gradient of the mean loss to the parameters; one row of measures per example, and the moved state."""
        scoring = self.scoring
        groups = scoring.packs(examples)
        needs = scoring.objective.needs
        whole = needs.coupled or needs.state or scoring.routes
        if whole and (len(groups) > 1 or scoring.ranks.size > 1):
            return self._twice(examples, groups, reference, state, check)
        groups = [sorted(pack) for pack in groups] if whole else groups  # as many packs of them would be seen
        rows = torch.zeros(len(examples), scoring.told.columns(routed=scoring.routes), device=scoring.device)

        def learn(pack: list[int]) -> tuple[Tensor, State]:
            if not pack:
                torch.autograd.backward(scoring.idle(examples, scoring.asked))
                return rows[:0], state
            some = [examples[index] for index in pack]
            scores = scoring.scores(some, scoring.asked)
            batch = scoring.batch(scores, some, _of(reference, pack), examples)
            moved = scoring.moved(batch, state)
            losses = scoring.losses(batch, scores, moved, len(some))
            torch.autograd.backward(losses.sum() / len(examples) * scoring.ranks.size)
            return scoring.measures(batch, losses, scores), moved

        for pack, (told, moved) in zip(groups, scoring.each(groups, learn, check), strict=True):
            rows[pack] = told
            state = moved
        return scoring.ranks.total(rows), state

    def _twice(
        self,
        examples: Sequence[Encoded],
        groups: list[list[int]],
        reference: Sequence[Tensor] | None,
        state: State,
        check: Callable[[], None],
    ) -> tuple[Tensor, State]:
        """Score all packs without a graph, ask what each value is worth to the loss, then weight each pack by it."""
        scoring = self.scoring
        wanted = sorted(name for name in scoring.objective.needs.asked if not without_gradient(name))
        found = _measured(scoring, examples, check, scoring.asked)
        routed = [] if found.routed is None else [found.routed]
        leaves = [found.logps, *(found.tokens[name] for name in wanted), *routed]
        leaves = [leaf.detach().requires_grad_() for leaf in leaves]
        tokens = found.tokens | dict(zip(wanted, leaves[1:], strict=False))
        found = found._replace(logps=leaves[0], tokens=tokens, routed=leaves[-1] if routed else None)
        batch = scoring.batch(found, examples, reference)
        state = scoring.moved(batch, state)
        losses = scoring.losses(batch, found, state, len(examples))
        slopes = torch.autograd.grad(losses.mean() * scoring.ranks.size, leaves, materialize_grads=True)
        worth = [_split(slope, examples, tokens=place > 0) for place, slope in enumerate(slopes[: 1 + len(wanted)])]
        if not scoring.routes:  # routing is of all tokens
            learned = [example.learned for example in examples]
            worth = [_kept(parts, learned, tokens=place > 0) for place, parts in enumerate(worth)]
            examples = learned
        asked = Asked(frozenset(wanted), router=True)

        def learn(pack: list[int]) -> None:
            if not pack:
                torch.autograd.backward(scoring.idle(examples, asked))
                return
            again = scoring.scores([examples[index] for index in pack], asked)
            values = [again.logps, *(again.tokens[name] for name in wanted)]
            weights = [torch.cat([parts[index] for index in pack]) for parts in worth]
            if again.routed is not None:
                values, weights = [*values, again.routed], [*weights, slopes[-1]]
            terms = [(value * weight).sum() for value, weight in zip(values, weights, strict=True)]
            torch.autograd.backward(torch.stack(terms).sum())

        scoring.each(groups, learn, check)
        return scoring.measures(batch, losses, found), state


def _of(reference: Sequence[Tensor] | None, indices: Sequence[int]) -> list[Tensor] | None:
    return None if reference is None else [reference[index] for index in indices]
