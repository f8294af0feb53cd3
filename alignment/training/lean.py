"""Norms and feed-forward networks that keep less for the backward pass, and compute what the model's own do.

transformers writes them as plain operations, each of which autograd keeps its inputs for.  A root mean square norm
needs its input and one number a token; a gated network needs what its two projections gave, and computes the product
that goes into the third again, as it was.  Values are the same to the last bit, since the same operations make them
in the same order.  A module is known by its code, which families copy from Llama: every other one keeps its own.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable


def use(model: nn.Module) -> None:
    """Let the norms and gated networks of the model that are known keep less; the others stay as they are."""
    from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm

    for module in model.modules():
        if _alike(module, LlamaRMSNorm):
            module.forward = partial(_norm, module)
        elif _alike(module, LlamaMLP):
            module.forward = partial(_gated, module, module.forward)


def _alike(module: nn.Module, known: type[nn.Module]) -> bool:
    """Whether a module computes by the code of a known class, and by nobody else's."""
    if "forward" in vars(module):  # somebody has given it another one
        return False
    return _code(type(module)) == _code(known)


def _code(kind: type[nn.Module]) -> tuple[object, ...]:
    found = getattr(kind.forward, "__code__", None)
    return () if found is None else (found.co_code, found.co_names, found.co_consts, found.co_varnames)


def _norm(module: Any, hidden: Tensor) -> Tensor:
    found: Tensor = _Norm.apply(hidden, hidden, module.weight, module.variance_epsilon)  # type: ignore[no-untyped-call]
    return found


class _Norm(torch.autograd.Function):
    """Root mean square norm (Zhang and Sennrich 2019, arXiv 1910.07467) of the last dimension, in float32.

    Its input comes twice, as autograd meets it, so that both parts of the gradient are added to others in its order.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, _: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        wide = hidden.to(torch.float32)
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
        ctx.save_for_backward(hidden, weight, scale)
        return weight * (wide * scale).to(hidden.dtype)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, scale = ctx.saved_tensors
        wide = hidden.to(torch.float32)
        to_product = to_square = to_weight = None
        if ctx.needs_input_grad[2]:
            to_weight = (slope * (wide * scale).to(hidden.dtype)).sum_to_size(weight.shape).to(weight.dtype)
        if ctx.needs_input_grad[0]:
            inner = (slope * weight).to(hidden.dtype).to(torch.float32)
            slopes = (inner * wide).sum(-1, keepdim=True).mul_(-0.5).mul_(scale.pow(3)).div_(wide.shape[-1])
            to_product, to_square = inner.mul_(scale), wide * slopes.mul_(2)
            if hidden.dtype != torch.float32:  # the two were added before they were rounded
                to_product, to_square = to_product.add_(to_square).to(hidden.dtype), None
        return to_product, to_square, to_weight, None


def _gated(module: Any, own: Callable[[Tensor], Tensor], hidden: Tensor) -> Tensor:
    """The network's output; the product before its last layer is computed again where a gradient is wanted."""
    if not torch.is_grad_enabled() or not _is_bare(module.down_proj):
        return own(hidden)
    gate, up = module.gate_proj(hidden), module.up_proj(hidden)
    found: Tensor = checkpoint(partial(_down, module), gate, up, use_reentrant=False, preserve_rng_state=False)
    return found


def _down(module: Any, gate: Tensor, up: Tensor) -> Tensor:
    found: Tensor = module.down_proj(module.act_fn(gate) * up)  # again only as far as what the last layer keeps
    return found


def _is_bare(layer: nn.Module) -> bool:
    """Whether a layer is linear and nothing else: no adapter beside it, nobody who watches it."""
    return type(layer) is nn.Linear and not (layer._forward_hooks or layer._forward_pre_hooks)
