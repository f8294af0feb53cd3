"""The router loss of mixture-of-experts models: tokens should be spread evenly over the experts.

Switch Transformers (arXiv 2101.03961, eq. 4-6), as transformers computes it for a padded batch: E * sum over experts
of f * P, where f is the share of (layer, token) pairs that chose the expert and P its mean probability.  The tokens
are those of all sequences of the optimizer batch, a prompt counted once for each of its responses, padding not at
all, however they lie in rows and packs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from alignment.training.errors import CheckpointRefused
from alignment.training.folder import EXPERTS

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

ROUTED = frozenset({"flex_olmo", "gpt_oss", "granitemoe", "mixtral", "olmoe", "phimoe", "qwen2_moe", "qwen3_moe"})
"""Architectures whose layers tell the logits of their routers, and whose loss transformers computes from them."""


def coefficient(config: PreTrainedConfig) -> float:
    """The weight of the router loss that the model's own configuration names; 0 where there is none."""
    text: Any = config.get_text_config()
    if text.model_type not in ROUTED:
        return 0.0
    return float(getattr(text, "router_aux_loss_coef", None) or 0.0)


def experts(config: PreTrainedConfig) -> int:
    """How many experts tokens are routed to in each layer; 0 in a model without."""
    text = config.get_text_config()
    return next((int(count) for name in EXPERTS if (count := getattr(text, name, None) or 0) > 1), 0)


def routed(logits: Sequence[Tensor] | None, weights: Tensor, choices: int) -> Tensor:
    """How often each expert is chosen, and the sum of its probabilities, (2, E), over all layers and tokens.

    `logits` has (R * T, E) for each layer, `weights` (R * T,) says how often each token counts, and each token
    chooses `choices` experts.  Gradients flow through the probabilities.

    Raises CheckpointRefused where the architecture's code keeps its logits to itself, as an older one may.
    """
    if logits is None:
        raise CheckpointRefused(
            "This transformers does not tell how the model chooses its experts, which the router loss needs.",
            "Install a newer one, or set router_aux_loss_coef to 0 in the checkpoint's config.json.",
            "checkpoint",
        )
    counts, sums = torch.zeros(2, logits[0].shape[1], device=weights.device)
    for layer in logits:
        probabilities = layer.float().softmax(dim=1)
        chosen = probabilities.detach().topk(choices, dim=1).indices
        counts = counts.index_add(0, chosen.flatten(), weights.repeat_interleave(choices))
        sums = sums + weights @ probabilities
    return torch.stack([counts, sums])


def loss(statistics: Tensor, choices: int) -> Tensor:
    """The router loss of what all packs of a batch add up to, (2, E); at least `choices` for even routing."""
    counts, sums = statistics
    total = counts.detach().sum() / choices
    shares, means = counts.detach() / total, sums / total
    found: Tensor = shares.dot(means) * len(counts)
    return found
