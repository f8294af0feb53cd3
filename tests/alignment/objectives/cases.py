"""Batches and objectives that the tests of objectives share: any objective of the catalogue, fed what it needs."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel

from alignment.objectives import (
    CATALOGUE,
    REFERENCE,
    Batch,
    Needs,
    Objective,
    ObjectiveSpec,
    OtherValue,
    Role,
    State,
    StepValue,
    Tokens,
    TokenValue,
    beside,
    head,
    own,
    step,
)
from alignment.objectives.facts import find
from alignment.objectives.objective import PAIR

NAMES = list(CATALOGUE)
PAIR_NAMES = [name for name in NAMES if CATALOGUE[name].needs.roles == PAIR]

FIELDS: dict[str, dict[str, Any]] = {}
"""What an objective that cannot be made without fields is made with."""


class Holder(BaseModel):
    objective: ObjectiveSpec


def make(name: str, **fields: Any) -> Objective:
    """An objective as a spec would write it."""
    return Holder.model_validate({"objective": {"name": name, **FIELDS.get(name, {}), **fields}}).objective


def layout(needs: Needs) -> list[Role]:
    """The roles of one example's responses: a pair, a list of three, or one response of each role in turn."""
    if needs.roles >= PAIR:
        return [Role.CHOSEN, Role.REJECTED, *sorted(needs.roles - PAIR)]
    if Role.CANDIDATE in needs.roles:
        return [Role.CANDIDATE] * 3
    return sorted(needs.roles)


def batch_of(
    needs: Needs,
    ratios: Iterable[Sequence[float]],
    *,
    start: float = -60.0,
    lengths: Sequence[float] = (12.0, 31.0, 20.0),
    dtype: Any = torch.float64,
) -> Batch:
    """One example per row of log-ratios, a response for each role of the layout; the reference is `start` everywhere.

    An objective that reads no reference gets the same log-probabilities without one. `logps` is a leaf.
    """
    rows, roles = list(ratios), layout(needs)
    count, width = len(rows), len(roles)
    reference = torch.full((count * width,), start, dtype=dtype)
    logps = reference + torch.tensor(rows, dtype=dtype).flatten()
    batch = Batch(
        logps=logps.requires_grad_(),
        lengths=torch.tensor(list(itertools.islice(itertools.cycle(lengths), width)), dtype=dtype).repeat(count),
        example=torch.arange(count).repeat_interleave(width),
        role=torch.tensor([int(role) for role in roles]).repeat(count),
        reference=None if needs.reference == "none" else reference,
        facts={name: torch.cat([usual(name, roles, dtype)] * count) for name in needs.facts},
    )
    return replace(batch, tokens=tokens_of(needs, batch, reference)) if needs.asked else batch


def tokens_of(needs: Needs, batch: Batch, reference: torch.Tensor) -> Tokens:
    """Tokens that share their response's log-probabilities evenly; the policy differs from every other model by a
    divergence that is 0 where it equals the reference."""
    sequence = torch.arange(len(batch.logps)).repeat_interleave(batch.lengths.long())
    each = (batch.logps / batch.lengths)[sequence]
    measured = (reference / batch.lengths)[sequence]
    drift = 0.5 * (each - measured) ** 2
    values = {TokenValue.LOGPS.value: each, TokenValue.LOG_COLLISION.value: torch.full_like(measured, -2.0)}
    for place, model in enumerate(sorted({REFERENCE, *needs.third})):
        values[beside(model, OtherValue.LOGPS)] = measured if model == REFERENCE else measured + 0.1
        values[beside(model, OtherValue.KL)] = drift
        values[beside(model, OtherValue.EXPECTED)] = drift - place
        values[beside(model, OtherValue.ACTIVITY)] = torch.arange(len(measured)).to(measured).sin()
    for place, name in enumerate(sorted(needs.own)):
        values[own(name)] = 0.5 + 0.5 * (measured + place).sin().abs()
    values |= {head(fact, place): measured for fact, count in needs.heads for place in range(count)}
    fourth = Tokens(sequence, {}).positions.to(measured) // 4
    for cut in needs.steps:  # of four tokens each
        values |= {step(cut, StepValue.PLACE): fourth, step(cut, StepValue.LIKENESS): (fourth + 1).sin()}
    return Tokens(sequence, {name: values[name] for name in needs.asked})


def reordered(batch: Batch, order: torch.Tensor) -> Batch:
    """The same batch with its responses in another order, and so their tokens."""
    tokens = batch.tokens
    if tokens is not None:
        places = torch.cat([(tokens.sequence == index).nonzero().flatten() for index in order.tolist()])
        sequence = torch.arange(len(order)).repeat_interleave(batch.lengths.long()[order])
        tokens = Tokens(sequence, {name: values[places] for name, values in tokens.values.items()})
    return replace(
        batch,
        logps=batch.logps[order],
        lengths=batch.lengths[order],
        example=batch.example[order],
        role=batch.role[order],
        reference=None if batch.reference is None else batch.reference[order],
        facts={fact: values[order] for fact, values in batch.facts.items()},
        tokens=tokens,
    )


HEADS = {"degree_logits": ([1.0, 0.2, -0.3, 0.0], [-0.5, 0.1, 0.4, 0.9])}
"""What heads on a model tell of a chosen and of a rejected response, for objectives that train one."""


def usual(name: str, roles: Sequence[Role], dtype: Any = torch.float64) -> torch.Tensor:
    """What the responses of one example might have as a fact; a list begins with its best and ends with its worst."""
    fact = find(name)
    better, worse = HEADS[name] if fact is None or name in HEADS else fact.usual
    if fact is not None and Role.CANDIDATE in roles:
        return torch.linspace(*fact.usual, len(roles), dtype=dtype)
    return torch.tensor([worse if role is Role.REJECTED else better for role in roles], dtype=dtype)


def pair_batch(
    chosen: float,
    rejected: float,
    *,
    reference: tuple[float, float] | None,
    lengths: tuple[float, float] = (12.0, 31.0),
    facts: Mapping[str, Sequence[Any]] = MappingProxyType({}),
    dtype: Any = torch.float64,
) -> Batch:
    """One pair by its summed log-probabilities, with facts of both responses."""
    return Batch(
        logps=torch.tensor([chosen, rejected], dtype=dtype, requires_grad=True),
        lengths=torch.tensor(lengths, dtype=dtype),
        example=torch.tensor([0, 0]),
        role=torch.tensor([int(Role.CHOSEN), int(Role.REJECTED)]),
        reference=None if reference is None else torch.tensor(reference, dtype=dtype),
        facts={name: torch.tensor(values, dtype=dtype) for name, values in facts.items()},
    )


class Pair(NamedTuple):
    """Summed log-probabilities of a chosen and a rejected response, the reference's, and their numbers of tokens."""

    chosen: float
    rejected: float
    chosen_reference: float
    rejected_reference: float
    chosen_tokens: float = 12.0
    rejected_tokens: float = 31.0


def pairs_batch(pairs: Iterable[Pair], *, reference: bool = True) -> Batch:
    """Several pairs, in double precision."""
    rows = torch.tensor(list(pairs), dtype=torch.float64).view(-1, 3, 2)
    return Batch(
        logps=rows[:, 0].flatten().clone().requires_grad_(),
        lengths=rows[:, 2].flatten(),
        example=torch.arange(len(rows)).repeat_interleave(2),
        role=torch.tensor([int(Role.CHOSEN), int(Role.REJECTED)]).repeat(len(rows)),
        reference=rows[:, 1].flatten() if reference else None,
    )


def begun(objective: Objective, batch: Batch, before: State | None = None) -> State:
    """The state once a batch has moved it, the first or the one after `before`; nothing is drawn, as in evaluations."""
    state = objective.begun()
    if before is not None:
        state = state._replace(step=before.step + 1, values=before.moved)
    with torch.no_grad():
        return state._replace(moved=objective.move(batch, state)) if objective.needs.state else state


def evaluated(objective: Objective, batch: Batch, state: State | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss as the objective gives it, at the first step unless told, and the gradient of its sum, (S,)."""
    loss = objective.loss(batch, begun(objective, batch) if state is None else state)
    (gradient,) = torch.autograd.grad(loss.sum(), batch.logps)
    return loss.detach(), gradient
