"""Batches and objectives that the tests of objectives share: any objective of the catalogue, fed what it needs."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from pydantic import BaseModel

from alignment.objectives import CATALOGUE, Batch, Needs, Objective, ObjectiveSpec, Role, State
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
    return Batch(
        logps=logps.requires_grad_(),
        lengths=torch.tensor(list(itertools.islice(itertools.cycle(lengths), width)), dtype=dtype).repeat(count),
        example=torch.arange(count).repeat_interleave(width),
        role=torch.tensor([int(role) for role in roles]).repeat(count),
        reference=None if needs.reference == "none" else reference,
    )


def pair_batch(
    chosen: float,
    rejected: float,
    *,
    reference: tuple[float, float] | None,
    lengths: tuple[float, float] = (12.0, 31.0),
    dtype: Any = torch.float64,
) -> Batch:
    """One pair by its summed log-probabilities."""
    return Batch(
        logps=torch.tensor([chosen, rejected], dtype=dtype, requires_grad=True),
        lengths=torch.tensor(lengths, dtype=dtype),
        example=torch.tensor([0, 0]),
        role=torch.tensor([int(Role.CHOSEN), int(Role.REJECTED)]),
        reference=None if reference is None else torch.tensor(reference, dtype=dtype),
    )


def evaluated(objective: Objective, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss as the objective gives it, and the gradient of its sum, (S,)."""
    loss = objective.loss(batch, State())
    (gradient,) = torch.autograd.grad(loss.sum(), batch.logps)
    return loss.detach(), gradient
