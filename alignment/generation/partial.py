"""Attention to a part of what a token sees, with what is needed to join it to another part."""

from __future__ import annotations

import torch
from torch import Tensor


def attend(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float | None
) -> tuple[Tensor, Tensor]:
    """What query (B, H, N, D) sees of keys and values (B, H, T, D): (B, H, N, D) and the log-sum-exp (B, H, N), fp32.

    The mask is added, and finite: a query that sees nothing has a log-sum-exp so small that joining takes nothing.
    """
    if query.device.type == "cpu":
        return _fused(query, keys, values, mask, scale)
    return _plain(query, keys, values, mask, scale)


def _fused(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float | None
) -> tuple[Tensor, Tensor]:
    """The kernel under torch's own attention on a CPU, asked directly because that one keeps the log-sum-exp."""
    seen, weight = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, keys, values, attn_mask=mask, scale=scale
    )
    return seen.float(), weight


def _plain(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float | None
) -> tuple[Tensor, Tensor]:
    scores = (query @ keys.transpose(2, 3)).float() * (query.shape[-1] ** -0.5 if scale is None else scale)
    if mask is not None:
        scores = scores + mask.float()
    weight = scores.logsumexp(dim=3)
    return ((scores - weight.unsqueeze(3)).exp().to(values.dtype) @ values).float(), weight
