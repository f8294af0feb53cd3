"""How examples are scored, and what an objective and the metrics see of their scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from alignment.objectives import (
    HEAD,
    OWN,
    REFERENCE,
    STEP,
    Batch,
    Cut,
    Objective,
    OtherValue,
    State,
    Tokens,
    TokenValue,
    beside,
    head,
)
from alignment.training import cutting, inside, lanes, layout, measures, routing, sft_measures
from alignment.training.batches import packs
from alignment.training.cutting import Cutter
from alignment.training.encode import Encoded
from alignment.training.head import HeadScorer
from alignment.training.head_measures import HeadMeasures
from alignment.training.kinds.scored import RewardLoss
from alignment.training.kinds.sft import SFT
from alignment.training.own_measures import OwnMeasures
from alignment.training.ranks import Ranks, turns
from alignment.training.scorer import Other, Scorer, Scores
from alignment.training.structure import Structure
from alignment.training.vocabulary import models_of

if TYPE_CHECKING:
    from alignment.training.layout import Layout
    from alignment.training.structure import Way


class Asked(NamedTuple):
    """What a pass shall tell beside log-probabilities: values of tokens, and how experts were chosen."""

    tokens: frozenset[str] = frozenset()
    router: bool = False


NOTHING = Asked()
Result = TypeVar("Result")
AnyScorer = Scorer | HeadScorer


class Measures(Protocol):
    """What runs of one kind tell of their examples: rows of values, a batch of them as one, and its names.

    Every row begins with the loss of its example and with what the model itself says of it, added up.
    """

    @property
    def MEASURED(self) -> frozenset[TokenValue]:  # noqa: N802
        """What the metrics ask about each token."""

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
    them is the model without its adapters.  `cutters` say where the steps begin that the objective asks about, `lanes`
    for how many lanes examples are divided and threads shared, of which so many are computed `at_once`.
    """

    scorer: AnyScorer
    wrapped: nn.Module
    objective: Objective
    structure: Structure
    padding: int
    tokens: int
    ranks: Ranks
    others: Mapping[str, Other] = field(default_factory=dict)
    cutters: Mapping[Cut, Cutter] = field(default_factory=dict)
    lanes: int = 1
    at_once: int = 1

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
            return [packs(examples, self.tokens, shared=shared, lanes=self.lanes)]
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

    def each(
        self, packs: Sequence[list[int]], work: Callable[[list[int]], Result], check: Callable[[], None]
    ) -> list[Result]:
        """What `work` gives for each of the packs, in their order; gradients are added in that order, too.

        Whatever `check` raises, before a pack or while others are computed, leaves nothing running.
        """
        if self.lanes > 1 and self.structure.steady:  # which a reference of its own need not be
            weights = self.scorer.parameters()
            return lanes.each(packs, work, check, weights, lanes=self.lanes, at_once=self.at_once)
        found = []
        for pack in turns(self.wrapped, packs):
            check()
            found.append(work(pack))
        return found

    def scores(self, examples: Sequence[Encoded], asked: Asked = NOTHING) -> Scores:
        """Log-probabilities of the responses of each example, in turn: (S,), with what else is asked for."""
        laid = self._laid(examples, self.structure)
        if any(name.startswith(f"{STEP}/") for name in asked.tokens):
            steps = {cut: cutting.steps_of(cutter, examples, self.device) for cut, cutter in self.cutters.items()}
            laid = replace(laid, steps=steps)
        voices, names = {}, models_of(asked.tokens)
        for name in (names | {REFERENCE} if OWN in names else names) & self.others.keys():
            rows = self.others[name].structure
            theirs = laid if (rows.shared, rows.distinct, rows.way) == self._rows else self._laid(examples, rows)
            voices[name] = self.others[name].scorer.voice(theirs, rows, inside.look_of(asked.tokens, name))
        scores: Scores = self.wrapped(laid, self.structure, asked.tokens, asked.router, voices)
        return scores

    def read(self, examples: Sequence[Encoded]) -> Tensor:
        """The last hidden state averaged over where each response is predicted, (S, D); see `Scorer.read`."""
        if not isinstance(self.scorer, Scorer):
            raise TypeError("only a language model reads prompts")
        return self.scorer.read(self._laid(examples, self.structure), self.structure)

    @property
    def _rows(self) -> tuple[bool, frozenset[int | None], Way]:
        return self.structure.shared, self.structure.distinct, self.structure.way

    def _laid(self, examples: Sequence[Encoded], rows: Structure) -> Layout:
        if rows.shared:
            return layout.shared(examples, rows, self.device, self.padding)
        return layout.plain(examples, self.padding, self.device)

    @property
    def asked(self) -> Asked:
        """What the objective and the metrics want to know beside log-probabilities."""
        return Asked(self.objective.needs.asked | self.told.MEASURED, router=True)

    def idle(self, examples: Sequence[Encoded], asked: Asked) -> Tensor:
        """Nothing, computed like a pack: what a rank does while others have more to do than it, since all of them
        gather weights and sum gradients together.  Zero, with a gradient of zeros."""
        scores = self.scores([min(examples, key=lambda example: example.longest)], asked)
        own = [values for name, values in scores.tokens.items() if name.startswith((f"{OWN}/", f"{HEAD}/"))]
        return torch.cat([scores.logps, *own]).sum() * 0

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
        heads = {fact: self._told(scores, fact, count) for fact, count in self.objective.needs.heads}
        facts = heads | {
            name: torch.tensor([value for example in examples for value in example.values(name)], device=self.device)
            for name in sorted(self.objective.needs.facts - heads.keys())
        }
        mean = _mean_length(examples if whole is None else whole)
        return Batch(scores.logps, scores.lengths, numbers, roles, flat, facts, tokens, mean)

    def _told(self, scores: Scores, fact: str, count: int) -> Tensor:
        """What a head tells of each response, the mean over its tokens, (S, count)."""
        each = torch.stack([scores.tokens[head(fact, place)] for place in range(count)], dim=1)
        sums = each.new_zeros(len(scores.lengths), count).index_add(0, scores.response, each)
        return sums / scores.lengths[:, None]

    def measures(self, batch: Batch, losses: Tensor, scores: Scores) -> Tensor:
        """One row per example, detached: see `measures.named`.  Scores with routing are those of a whole batch."""
        aux = None if scores.routed is None else routing.loss(scores.routed, self.scorer.choices)
        return self.told.rows(self.objective, batch, losses, scores, aux)

    @property
    def told(self) -> Measures:
        """What a run of this kind tells of its examples."""
        if isinstance(self.objective, RewardLoss):
            return HeadMeasures(self.objective)
        told: Measures = sft_measures if isinstance(self.objective, SFT) else measures
        own = self.objective.needs.own
        return OwnMeasures(told, own) if own else told

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


def _mean_length(examples: Sequence[Encoded]) -> float:
    """Tokens of a response of the examples, on average."""
    lengths = [len(answer) for example in examples for answer in example.responses]
    return sum(lengths) / len(lengths)
