"""Gradient checkpointing: layers keep their input alone, and are computed again in the backward pass.

The idea is Chen et al. 2016, arXiv 1604.06174, section 4; one checkpoint a layer.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


def layers(model: nn.Module) -> list[Any]:
    """The layers of a model that can be computed again: those that transformers made so."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


def is_on(model: nn.Module) -> bool:
    """Whether such layers are computed again in the backward pass."""
    return any(layer.gradient_checkpointing for layer in layers(model))


def switch_on(model: nn.Module) -> None:
    """Afterwards every such layer is computed again in the backward pass; what it computes stays the same.

    Layers ask whether they are in training before they do so, and some of them then drop values out, too.  Policy and
    reference must differ by training alone, so a layer is in training only while it is asked.
    """
    for layer in layers(model):
        layer.gradient_checkpointing = True
        layer._gradient_checkpointing_func = partial(_again, layer)
        layer.training = True  # its own flag alone: modules inside it have theirs, of which adapters' dropout is one


def _again(layer: nn.Module, forward: Callable[..., Any], *inputs: Any) -> Any:
    return checkpoint(partial(_untrained, layer, forward), *inputs, use_reentrant=False)


def _untrained(layer: nn.Module, forward: Callable[..., Any], *inputs: Any) -> Any:
    layer.training = False
    try:
        return forward(*inputs)
    finally:
        layer.training = True
