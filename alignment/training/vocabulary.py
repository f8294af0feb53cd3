"""What the vocabulary says at the positions where a response token is predicted; nowhere else is anything projected.

The projection goes chunk by chunk, in float32 or better after the product, and is computed again in the backward
pass, so that the logits of a pack never exist at once.  Only values that somebody asked for are computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from alignment.objectives.batch import TokenValue
from alignment.training.batches import chunk_rows

LIKELIEST = 10  # tokens whose probabilities `top_mass` adds up

Values = dict[TokenValue, Tensor]


def token_values(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, asked: frozenset[TokenValue], scale: float = 1
) -> Values:
    """What is asked for about each position, by name, (P,); float32, or float64 for float64 weights.

    `hidden` (P, D) predicts `target` (P,) through logits `scale * (hidden @ weight.T + bias)`; `weight` (V, D).
    Under autocast the products are of the autocast type, and everything after them is float32.  Gradients flow
    through every value but `top1` and `mean_logit`.
    """
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    names = tuple(sorted(asked - {TokenValue.MEAN_LOGIT}))
    with torch.autocast(device, enabled=False):
        found = _TokenValues.apply(hidden, weight, bias, target, scale, dtype, names)  # type: ignore[no-untyped-call]
        values: Values = dict(zip(names, found, strict=True))
        if TokenValue.MEAN_LOGIT in asked:
            values[TokenValue.MEAN_LOGIT] = _mean_logits(hidden, weight, bias, scale)
    return values


def values_of(logits: Tensor, target: Tensor, asked: frozenset[TokenValue]) -> Values:
    """The definitions: values (R,) of logits (R, V) in float32 or better, with ordinary gradients."""
    largest = logits.detach().amax(dim=1)
    shifted = logits - largest[:, None]
    powers = shifted.exp()
    total = powers.sum(dim=1)
    sums = total.log()
    picked = shifted.gather(1, target[:, None]).squeeze(1)
    found: Values = {}
    for name in asked:
        match name:
            case TokenValue.LOGPS:
                found[name] = picked - sums
            case TokenValue.LOGSUMEXP:
                found[name] = sums + largest
            case TokenValue.ENTROPY:
                found[name] = sums - torch.einsum("rv,rv->r", powers, shifted) / total
            case TokenValue.LOG_COLLISION:
                found[name] = torch.einsum("rv,rv->r", powers, powers).log() - 2 * sums
            case TokenValue.TOP_MASS:
                found[name] = (shifted.topk(min(LIKELIEST, shifted.shape[1])).values - sums[:, None]).exp().sum(dim=1)
            case TokenValue.TOP1:
                found[name] = (picked >= 0).to(logits.dtype)
            case TokenValue.MEAN_LOGIT:
                found[name] = logits.detach().mean(dim=1)
    return found


@torch.no_grad()
def _mean_logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """The mean over the vocabulary is linear: it needs the mean of the weights, and no logits."""
    wide = torch.promote_types(weight.dtype, torch.float32)
    found = hidden.to(wide) @ weight.mean(dim=0, dtype=wide)
    return scale * (found if bias is None else found + bias.mean(dtype=wide))


class _TokenValues(torch.autograd.Function):
    """The values in chunks.  Where only log-probabilities have a gradient, it is one-hot minus softmax."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        target: Tensor,
        scale: float,
        dtype: torch.dtype,
        names: tuple[TokenValue, ...],
    ) -> tuple[Tensor, ...]:
        wide = weight.to(dtype)
        kind = torch.promote_types(dtype, torch.float32)
        values = {name: torch.empty(len(target), dtype=kind, device=hidden.device) for name in names}
        asked = frozenset(names)
        for rows in _chunks(len(target), weight):
            logits = _logits(hidden[rows].to(dtype), wide, bias, scale)
            for name, value in values_of(logits, target[rows], asked).items():
                values[name][rows] = value
        ctx.save_for_backward(hidden, weight, bias, target)
        ctx.scale, ctx.dtype, ctx.names = scale, dtype, names
        ctx.set_materialize_grads(False)
        if TokenValue.TOP1 in values:
            ctx.mark_non_differentiable(values[TokenValue.TOP1])
        return tuple(values[name] for name in names)

    @staticmethod
    def backward(ctx: Any, *outside: Tensor | None) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, target = ctx.saved_tensors
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        wide = weight.to(ctx.dtype)
        kind = torch.promote_types(ctx.dtype, torch.float32)
        worths = {name: worth for name, worth in zip(ctx.names, outside, strict=True) if worth is not None}
        to_hidden = torch.empty_like(hidden) if wants_hidden else None
        to_weight = torch.zeros_like(weight, dtype=kind) if wants_weight else None
        to_bias = torch.zeros_like(bias, dtype=kind) if wants_bias else None
        for rows in _chunks(len(target), weight):
            some = hidden[rows].to(ctx.dtype)
            worth = {name: value[rows] for name, value in worths.items()}
            slope = _slope(_logits(some, wide, bias, ctx.scale), target[rows], worth).mul_(ctx.scale)
            narrow = slope.to(ctx.dtype)
            if to_hidden is not None:
                to_hidden[rows] = (narrow @ wide).to(hidden.dtype)
            if to_weight is not None:
                if ctx.dtype == kind:
                    to_weight.addmm_(narrow.T, some)
                else:
                    to_weight += narrow.T @ some
            if to_bias is not None:
                to_bias += slope.sum(0)
        to_weight = None if to_weight is None else to_weight.to(weight.dtype)
        return to_hidden, to_weight, None if to_bias is None else to_bias.to(bias.dtype), None, None, None, None


def _slope(logits: Tensor, target: Tensor, worth: Values) -> Tensor:
    """The gradient (R, V) of the sum of `worth` times each value, with respect to logits that are ours to overwrite."""
    if not worth:
        return logits.zero_()
    if set(worth) == {TokenValue.LOGPS}:
        column = worth[TokenValue.LOGPS][:, None]
        slope = logits.sub_(logits.logsumexp(dim=1, keepdim=True)).exp_().mul_(-column)
        return slope.scatter_add_(1, target[:, None], column)
    with torch.enable_grad():
        values = values_of(logits.requires_grad_(), target, frozenset(worth))
        whole = torch.stack([(values[name] * one).sum() for name, one in worth.items()]).sum()
    return torch.autograd.grad(whole, logits)[0]


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    logits = (hidden @ weight.T).to(torch.promote_types(hidden.dtype, torch.float32))
    if bias is not None:
        logits += bias
    return logits if scale == 1.0 else logits.mul_(scale)


def _chunks(positions: int, weight: Tensor) -> Iterator[slice]:
    most = chunk_rows(weight.device.type, len(weight))
    for start in range(0, positions, most):
        yield slice(start, min(start + most, positions))
