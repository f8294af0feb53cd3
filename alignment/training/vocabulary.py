"""What the vocabulary says at the positions where a response token is predicted; nowhere else is anything projected.

The projection goes chunk by chunk in float32 sums and is computed again in the backward pass, so that the logits of
a pack never exist at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from alignment.training.batches import chunk_rows


def token_logps(hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, scale: float = 1.0) -> Tensor:
    """Log-probability of each target token, (P,), float32.

    `hidden` (P, D) predicts `target` (P,) through logits `scale * (hidden @ weight.T + bias)`; `weight` (V, D).
    Under autocast the products are of the autocast type, and everything after them is float32.
    """
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    with torch.autocast(device, enabled=False):
        found: Tensor = _TokenLogps.apply(hidden, weight, bias, target, scale, dtype)  # type: ignore[no-untyped-call]
    return found


class _TokenLogps(torch.autograd.Function):
    """log softmax, gathered; the gradient of a logit is (one-hot - softmax) times that of its log-probability."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        target: Tensor,
        scale: float,
        dtype: torch.dtype,
    ) -> Tensor:
        wide = weight.to(dtype)
        logps = hidden.new_empty(len(target), dtype=torch.float32)
        sums = torch.empty_like(logps)
        for rows in _chunks(len(target), weight):
            logits = _logits(hidden[rows].to(dtype), wide, bias, scale)
            sums[rows] = logits.logsumexp(dim=1)
            logps[rows] = logits.gather(1, target[rows, None]).squeeze(1) - sums[rows]
        ctx.save_for_backward(hidden, weight, bias, target, sums)
        ctx.scale, ctx.dtype = scale, dtype
        return logps

    @staticmethod
    def backward(ctx: Any, *outside: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, target, sums = ctx.saved_tensors
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        wide = weight.to(ctx.dtype)
        to_hidden = torch.empty_like(hidden) if wants_hidden else None
        to_weight = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        to_bias = torch.zeros_like(bias, dtype=torch.float32) if wants_bias else None
        for rows in _chunks(len(target), weight):
            some = hidden[rows].to(ctx.dtype)
            worth = outside[0][rows, None] * ctx.scale
            slope = _logits(some, wide, bias, ctx.scale).sub_(sums[rows, None]).exp_().mul_(-worth)
            slope.scatter_add_(1, target[rows, None], worth)
            narrow = slope.to(ctx.dtype)
            if to_hidden is not None:
                to_hidden[rows] = (narrow @ wide).to(hidden.dtype)
            if to_weight is not None:
                if ctx.dtype == torch.float32:
                    to_weight.addmm_(narrow.T, some)
                else:
                    to_weight += narrow.T @ some
            if to_bias is not None:
                to_bias += slope.sum(0)
        to_weight = None if to_weight is None else to_weight.to(weight.dtype)
        return to_hidden, to_weight, None if to_bias is None else to_bias.to(bias.dtype), None, None, None


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    logits = (hidden @ weight.T).float()
    if bias is not None:
        logits += bias
    return logits if scale == 1.0 else logits.mul_(scale)


def _chunks(positions: int, weight: Tensor) -> Iterator[slice]:
    most = chunk_rows(weight.device.type, len(weight))
    for start in range(0, positions, most):
        yield slice(start, min(start + most, positions))
