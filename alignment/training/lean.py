"""Norms and feed-forward networks that keep less for the backward pass, and read and write less memory on the way.

transformers writes them as plain operations, each of which autograd keeps its inputs for.  A root mean square norm
needs its input and one number a token; a gated network needs its input and what its first two projections gave, and
computes the product that goes into the third again.  Values are the same to the last bit, since the same operations
make them in the same order; gradients are the same up to rounding.  A module is known by its code, which families copy
from Llama: every other one keeps its own.

Under autocast an activation computes in the type of what it is given; on an accelerator a few (`gelu_new`) would have
gone back to float32.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


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
    found: Tensor = _Norm.apply(hidden, module.weight, module.variance_epsilon)  # type: ignore[no-untyped-call]
    return found


class _Norm(torch.autograd.Function):
    """Root mean square norm (Zhang and Sennrich 2019, arXiv 1910.07467) of the last dimension, in float32."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        wide = hidden.to(torch.float32)
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
        ctx.save_for_backward(hidden, weight, scale)
        normed = (wide * scale).to(hidden.dtype)
        return normed.mul_(weight) if weight.dtype == normed.dtype else weight * normed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, scale = ctx.saved_tensors
        wide, slope = hidden.to(torch.float32), slope.to(torch.float32)
        normed = wide * scale
        each = (slope * normed).flatten(0, -2)  # what a larger weight of each value would be worth
        to_hidden = to_weight = None
        if ctx.needs_input_grad[1]:
            to_weight = each.sum(0).to(weight.dtype)
        if ctx.needs_input_grad[0]:
            factors = weight.to(torch.float32)
            mean = (each @ factors).div_(wide.shape[-1]).view(scale.shape)
            to_hidden = (slope * factors).addcmul_(normed, mean, value=-1).mul_(scale).to(hidden.dtype)
        return to_hidden, to_weight, None


def _gated(module: Any, own: Callable[[Tensor], Tensor], hidden: Tensor) -> Tensor:
    """The network's output; the product before its last layer is computed again where a gradient is wanted."""
    layers, bend = (module.gate_proj, module.up_proj, module.down_proj), module.act_fn
    if not torch.is_grad_enabled() or not all(map(_is_bare, layers)) or not _is_fixed(bend):
        return own(hidden)
    values, device = [hidden, *(layer.weight for layer in layers)], hidden.device.type
    if not torch.is_autocast_enabled(device):
        return _applied(values, bend)
    kind = torch.get_autocast_dtype(device)
    with torch.autocast(device, enabled=False):
        return _applied([value.to(kind) for value in values], bend)


def _applied(values: Sequence[Tensor], bend: Callable[[Tensor], Tensor]) -> Tensor:
    found: Tensor = _Gated.apply(*values, bend)  # type: ignore[no-untyped-call]
    return found


class _Gated(torch.autograd.Function):
    """Gated linear unit (Shazeer 2020, arXiv 2002.05202) with any activation, between projections without bias."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, to_gate: Tensor, to_up: Tensor, to_down: Tensor, bend: Callable[[Tensor], Tensor]
    ) -> Tensor:
        gate, up = linear(hidden, to_gate), linear(hidden, to_up)
        ctx.bend = bend
        ctx.save_for_backward(hidden, gate, up, to_gate, to_up, to_down)
        return linear(bend(gate) * up, to_down)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        hidden, gate, up, to_gate, to_up, to_down = ctx.saved_tensors
        shape, (before, *wanted, _) = hidden.shape, ctx.needs_input_grad
        slope, hidden, gate, up = (each.flatten(0, -2) for each in (slope, hidden, gate, up))
        found: list[Tensor | None] = [None, None, None, None, None]
        with torch.enable_grad():
            level = gate.detach().requires_grad_()
            bent = ctx.bend(level)
        if wanted[2]:
            found[3] = slope.T @ (bent.detach() * up)
        inner = slope @ to_down
        of_up = inner * bent.detach()
        of_gate = torch.autograd.grad(bent, level, inner.mul_(up))[0]
        if wanted[0]:
            found[1] = of_gate.T @ hidden
        if wanted[1]:
            found[2] = of_up.T @ hidden
        if before:
            found[0] = (of_gate @ to_gate).addmm_(of_up, to_up).view(shape)
        return tuple(found)


def _is_bare(layer: nn.Module) -> bool:
    """Whether a layer is linear and nothing else: no bias, no adapter beside it, nobody who watches it."""
    return type(layer) is nn.Linear and layer.bias is None and not _is_watched(layer)


def _is_fixed(bend: Callable[[Tensor], Tensor]) -> bool:
    """Whether an activation is a function and nothing else: nothing in it is trained, nobody watches it."""
    return not isinstance(bend, nn.Module) or not (_is_watched(bend) or any(True for _ in bend.parameters()))


def _is_watched(module: nn.Module) -> bool:
    """Whether somebody waits for the module to be called, or has given it another forward."""
    hooks = module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks
    return "forward" in vars(module) or any(hooks)
