"""Draws follow the distribution, and the smallest set of tokens is found without sorting them all."""

import pytest
import torch
from torch import Tensor

from alignment.generation.draw import HEADS, pick
from alignment.sampling import Sampling

SIZE = 2 * HEADS[-1]
BELOW_ONE = 1 - 2**-53


def logits(spread: float, rows: int = 50) -> Tensor:
    return spread * torch.randn(rows, SIZE, generator=torch.Generator().manual_seed(1))


def plainly(values: Tensor, sampling: Sampling, uniforms: Tensor) -> Tensor:
    """Sort everything, keep the smallest set, and walk through it in the order of the vocabulary."""
    found = []
    for row, uniform in zip((values / sampling.temperature).softmax(1), uniforms.tolist(), strict=True):
        ordered, tokens = row.sort(descending=True)
        before = ordered.double().cumsum(0) - ordered
        kept = sorted(tokens[before < sampling.top_p].tolist())
        ends = row[kept].double().cumsum(0)
        found.append(kept[int((ends <= uniform * ends[-1]).sum())])
    return torch.tensor(found)


@pytest.mark.parametrize("spread", [0.1, 2.0, 8.0])
@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.95, 1.0])
def test_the_head_gives_what_sorting_everything_gives(spread: float, top_p: float) -> None:
    """For distributions that a few tokens hold, and for flat ones."""
    values, sampling = logits(spread), Sampling(temperature=0.8, top_p=top_p)
    uniforms = torch.rand(len(values), generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    assert torch.equal(pick(values, sampling, uniforms), plainly(values, sampling, uniforms))


@pytest.mark.parametrize("uniform", [0.0, BELOW_ONE])
@pytest.mark.parametrize("top_p", [0.3, 1.0])
def test_the_ends_of_the_distribution_are_tokens_that_can_come(uniform: float, top_p: float) -> None:
    """Neither the least nor the greatest number draws a token of no probability."""
    values = logits(2.0)
    values[:, :5] = values[:, -5:] = -torch.inf

    found = pick(values, Sampling(temperature=1, top_p=top_p), torch.full((len(values),), uniform, dtype=torch.float64))

    assert bool(values.gather(1, found[:, None]).isfinite().all())


def test_equally_probable_tokens_stay_together() -> None:
    """bf16 makes many tokens equal; which of them a sort names first decides nothing."""
    values = torch.zeros(40, SIZE)
    uniforms = (torch.arange(40, dtype=torch.float64) + 0.5) / 40

    found = pick(values, Sampling(temperature=1, top_p=0.01), uniforms)

    assert found.tolist() == [int(uniform * SIZE) for uniform in uniforms.tolist()]
