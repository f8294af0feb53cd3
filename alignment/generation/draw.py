"""Drawing tokens: the cumulative distribution of each row inverted at a number of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from alignment.sampling import Sampling

HEADS = (32, 512)
"""How many of the most probable tokens are looked at first, and then, before all are."""


def pick(logits: Tensor, sampling: Sampling, uniforms: Tensor) -> Tensor:
    """The next token of each row (N,) from logits (N, V) and `uniforms` (N,) in [0, 1).

    Probabilities stand in the order of the vocabulary, not by size: what rounding does to the order of tokens that are
    equally probable then changes no draw.
    """
    if sampling.temperature == 0:
        return logits.argmax(dim=1)
    probabilities = (logits.float() / sampling.temperature).softmax(dim=1)
    if sampling.top_p < 1:
        probabilities = probabilities.masked_fill(probabilities < _least(probabilities, sampling.top_p), 0)
    cumulative = probabilities.cumsum(dim=1, dtype=torch.float64)
    mass = cumulative[:, -1:]
    wanted = (uniforms[:, None] * mass).minimum(mass.nextafter(torch.zeros_like(mass)))
    return torch.searchsorted(cumulative, wanted, right=True).squeeze(1)


def _least(probabilities: Tensor, top_p: float) -> Tensor:
    """The smallest probability (N, 1) in the smallest set of tokens that holds `top_p`; its equals belong to it, too.

    Mostly a few tokens hold it, so the whole vocabulary is sorted only for rows where they do not.
    """
    size = probabilities.shape[1]
    least = probabilities.new_zeros(len(probabilities), 1)
    rows = torch.arange(len(probabilities), device=probabilities.device)
    for count in (*(head for head in HEADS if head < size), size):
        head = probabilities[rows].topk(count, dim=1).values
        cumulative = head.cumsum(dim=1, dtype=torch.float64)
        last = (cumulative - head < top_p).sum(dim=1, keepdim=True) - 1
        least[rows] = head.gather(1, last)
        rows = rows[cumulative[:, -1] < top_p]
        if not len(rows):
            break
    return least
