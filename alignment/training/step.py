"""One optimizer step: packs are scored, the objective says what each response's log-probability is worth, weights move.

The gradient is that of the whole optimizer batch, however it is divided into packs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from alignment.objectives import REFERENCE, Batch, Objective, OtherValue, State, Tokens, TokenValue, beside
from alignment.training import head_measures, layout, measures, routing, sft_measures
from alignment.training.batches import packs
from alignment.training.encode import Encoded
from alignment.training.finite import require_finite
from alignment.training.head import HeadScorer
from alignment.training.kinds.sft import SFT
from alignment.training.precision import clip
from alignment.training.ranks import Ranks, turns
from alignment.training.scorer import Other, Scorer, Scores
from alignment.training.structure import Structure
from alignment.training.vocabulary import models_of, without_gradient

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from alignment.training.layout import Layout


class Updated(NamedTuple):
    """What a step leaves behind beside moved weights: its metrics, and the state that the next step finds."""

    metrics: dict[str, float]
    state: State


class Asked(NamedTuple):
    """What a pass shall tell beside log-probabilities: values of tokens, and how experts were chosen."""

    tokens: frozenset[str] = frozenset()
    router: bool = False


NOTHING = Asked()
AnyScorer = Scorer | HeadScorer


class Measures(Protocol):
    """What runs of one kind tell of their examples: rows of values, a batch of them as one, and its names.

    Every row begins with the loss of its example and with what the model itself says of it, as `COLUMNS` name them.
    """

    COLUMNS: Sequence[str]
    MEASURED: frozenset[TokenValue]

    def rows(self, objective: Objective, batch: Batch, losses: Tensor, scores: Scores, aux: Tensor | None) -> Tensor:
        """One row per example."""

    def columns(self, *, routed: bool) -> int:
        """How many values a row has."""

    def summed(self, rows: Tensor) -> Tensor:
        """The rows of a batch as one."""

    def named(self, values: Sequence[float]) -> dict[str, float]:
        """The metrics by name, from what `summed` gives."""


@dataclass(frozen=True)
class Scoring:
    """What it takes to score examples: the model, how its rows are laid out, and how many tokens fit at once.

    `wrapped` is called in the place of `scorer`: the same, or what keeps the ranks' copies of it alike.  `others` are
    the frozen models that the objective asks at every step, by name; a reference that it asks and that is not among
    them is the model without its adapters.
    """

    scorer: AnyScorer
    wrapped: nn.Module
    objective: Objective
    structure: Structure
    padding: int
    tokens: int
    ranks: Ranks
    others: Mapping[str, Other] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Where this rank computes."""
        return self.ranks.device

    @property
    def routes(self) -> bool:
        """Whether a router loss joins the objective's."""
        return self.scorer.router_weight > 0

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

    def scores(self, examples: Sequence[Encoded], asked: Asked = NOTHING) -> Scores:
        """Log-probabilities of the responses of each example, in turn: (S,), with what else is asked for."""
        laid = self._laid(examples, self.structure)
        voices = {}
        for name in models_of(asked.tokens) & self.others.keys():
            rows = self.others[name].structure
            theirs = laid if (rows.shared, rows.distinct) == self._rows else self._laid(examples, rows)
            voices[name] = self.others[name].scorer.voice(theirs, rows)
        scores: Scores = self.wrapped(laid, self.structure, asked.tokens, asked.router, voices)
        return scores

    @property
    def _rows(self) -> tuple[bool, frozenset[int | None]]:
        return self.structure.shared, self.structure.distinct

    def _laid(self, examples: Sequence[Encoded], rows: Structure) -> Layout:
        if rows.shared:
            return layout.shared(examples, rows.distinct, self.device, self.padding)
        return layout.plain(examples, self.padding, self.device)

    @property
    def asked(self) -> Asked:
        """What the objective and the metrics want to know beside log-probabilities."""
        return Asked(self.objective.needs.asked | self.told.MEASURED, router=True)

    def idle(self, examples: Sequence[Encoded], asked: Asked) -> Tensor:
        """Nothing, computed like a pack: what a rank does while others have more to do than it, since all of them
        gather weights and sum gradients together.  Zero, with a gradient of zeros."""
        return self.scores([min(examples, key=lambda example: example.longest)], asked).logps.sum() * 0

    def batch(
        self,
        scores: Scores,
        examples: Sequence[Encoded],
        reference: Sequence[Tensor] | None,
        whole: Sequence[Encoded] | None = None,
    ) -> Batch:
        """The objective's view of some examples, of the `whole` optimizer batch where they are not all of it.

        `reference` has the (K,) log-probabilities of each one's responses.
        """
        counts = torch.tensor([len(example.responses) for example in examples])
        numbers = torch.arange(len(examples)).repeat_interleave(counts).to(self.device)
        roles = torch.tensor([int(role) for example in examples for role in example.roles], device=self.device)
        wanted = self.objective.needs.asked
        if REFERENCE in self.objective.needs.live:
            flat: Tensor | None = scores.sums(beside(REFERENCE, OtherValue.LOGPS))
        else:
            flat = None if reference is None else torch.cat(list(reference)).to(self.device)
        tokens = Tokens(scores.response, {name: scores.tokens[name] for name in wanted}) if wanted else None
        facts = {
            name: torch.tensor([value for example in examples for value in example.values(name)], device=self.device)
            for name in sorted(self.objective.needs.facts)
        }
        mean = _mean_length(examples if whole is None else whole)
        return Batch(scores.logps, scores.lengths, numbers, roles, flat, facts, tokens, mean)

    def measures(self, batch: Batch, losses: Tensor, scores: Scores) -> Tensor:
        """One row per example, detached: see `measures.named`.  Scores with routing are those of a whole batch."""
        aux = None if scores.routed is None else routing.loss(scores.routed, self.scorer.choices)
        return self.told.rows(self.objective, batch, losses, scores, aux)

    @property
    def told(self) -> Measures:
        """What a run of this kind tells of its examples."""
        if isinstance(self.scorer, HeadScorer):
            return head_measures
        return sft_measures if isinstance(self.objective, SFT) else measures

    def begun(self, seed: int) -> State:
        """The objective's state before the first step."""
        begun = self.objective.begun(seed)
        return begun._replace(values=self.placed(begun.values), moved=self.placed(begun.moved))

    def placed(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Values of a state, where this rank computes."""
        dtype = torch.float32 if self.device.type == "mps" else torch.float64  # which has no more
        return {name: value.to(self.device, dtype) for name, value in values.items()}

    @torch.no_grad()
    def moved(self, batch: Batch, state: State) -> State:
        """The state once a whole optimizer batch has moved it; its `values` are still those that the step found."""
        if not self.objective.needs.state:
            return state
        return state._replace(moved=self.placed(self.objective.move(batch, state)))

    def losses(self, batch: Batch, scores: Scores, state: State, examples: int) -> Tensor:
        """The loss of each of so many examples, (examples,), any router loss of the whole batch added to it."""
        losses = self.objective.loss(batch, state).expand(examples)
        if scores.routed is None:
            return losses
        return losses + self.scorer.router_weight * routing.loss(scores.routed, self.scorer.choices)


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
    logps, values = torch.zeros(len(lengths), device=device), torch.zeros(len(names), len(response), device=device)
    routed = torch.zeros(2, scoring.scorer.experts, device=device) if asked.router and scoring.routes else None
    for pack in scoring.packs(examples):
        check()
        if not pack:
            scoring.idle(examples, asked)
            continue
        part = scoring.scores([examples[index] for index in pack], asked)
        logps[torch.cat([where[index] for index in pack])] = part.logps
        if names:
            places = torch.cat([token_where[index] for index in pack])
            values[:, places] = torch.stack([part.tokens[name] for name in names])
        if routed is not None and part.routed is not None:
            routed += part.routed
    total = scoring.ranks.total
    tokens = dict(zip(names, total(values), strict=True))
    return Scores(total(logps), lengths.float(), response, tokens, None if routed is None else total(routed))


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
        for pack in turns(scoring.wrapped, groups):
            check()
            if not pack:
                torch.autograd.backward(scoring.idle(examples, scoring.asked))
                continue
            some = [examples[index] for index in pack]
            scores = scoring.scores(some, scoring.asked)
            batch = scoring.batch(scores, some, _of(reference, pack), examples)
            state = scoring.moved(batch, state)
            losses = scoring.losses(batch, scores, state, len(some))
            torch.autograd.backward(losses.sum() / len(examples) * scoring.ranks.size)
            rows[pack] = scoring.measures(batch, losses, scores)
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
        for pack in turns(scoring.wrapped, groups):
            check()
            if not pack:
                torch.autograd.backward(scoring.idle(examples, asked))
                continue
            again = scoring.scores([examples[index] for index in pack], asked)
            values = [again.logps, *(again.tokens[name] for name in wanted)]
            weights = [torch.cat([parts[index] for index in pack]) for parts in worth]
            if again.routed is not None:
                values, weights = [*values, again.routed], [*weights, slopes[-1]]
            terms = [(value * weight).sum() for value, weight in zip(values, weights, strict=True)]
            torch.autograd.backward(torch.stack(terms).sum())
        return scoring.measures(batch, losses, found), state


def _mean_length(examples: Sequence[Encoded]) -> float:
    """Tokens of a response of the examples, on average."""
    lengths = [len(answer) for example in examples for answer in example.responses]
    return sum(lengths) / len(lengths)


def _of(reference: Sequence[Tensor] | None, indices: Sequence[int]) -> list[Tensor] | None:
    return None if reference is None else [reference[index] for index in indices]
