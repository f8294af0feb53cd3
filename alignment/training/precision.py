"""Arithmetic of a run: in what type the weights lie, what moves them, and how gradients are measured.

`fp32` computes and keeps everything in float32.  `bf16` computes under autocast while what is trained stays float32.
`pure_bf16` keeps the weights, too, in bf16, trained through masters of float32 (`adamw.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from alignment.training.adamw import MasteredAdamW
from alignment.training.spec import LoraTuning, Spec

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from alignment.objectives import Own


def of_weights(spec: Spec) -> torch.dtype:
    """The type in which the model is loaded: frozen weights need no more than the arithmetic they are used in."""
    narrow = spec.precision == "pure_bf16" or (spec.precision == "bf16" and isinstance(spec.tuning, LoraTuning))
    return torch.bfloat16 if narrow else torch.float32


def of_adapters(spec: Spec) -> torch.dtype:
    """The type of trained adapters."""
    return torch.bfloat16 if spec.precision == "pure_bf16" else torch.float32


def optimizer(spec: Spec, parameters: Sequence[nn.Parameter], own: Own | None = None) -> Optimizer:
    """AdamW as the spec has it, and for the objective's `own` modules as they have it; bf16 weights are moved through
    float32 masters."""
    rate, decay = spec.optimizer.learning_rate, spec.optimizer.weight_decay
    groups: list[dict[str, Any]] = [{"params": list(parameters)}]
    if own is not None:
        mine = {"params": list(own.module.parameters()), "lr": own.learning_rate, "weight_decay": own.weight_decay}
        groups.append(mine)
    if spec.precision == "pure_bf16":
        return MasteredAdamW(groups, rate, decay)
    return torch.optim.AdamW(groups, lr=rate, weight_decay=decay, fused=True)


def clip(parameters: Sequence[nn.Parameter], most: float) -> Tensor:
    """Scale the gradients down to the norm `most`; the norm () that they had, in float32 whatever their type."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if all(gradient.dtype == torch.float32 for gradient in gradients):
        return nn.utils.clip_grad_norm_(parameters, most)
    # torch's own clipping would take norms, and the norm of norms, in bf16: two digits and a half
    norms = [torch.linalg.vector_norm(gradient, dtype=torch.float32) for gradient in gradients]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    scale = (most / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale)
    return norm
