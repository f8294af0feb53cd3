"""The views of a batch, and what they refuse."""

import math

import pytest
import torch

from alignment.objectives import Batch, Role, State
from alignment.objectives.batch import MissingReference, UnpairedExample, added
from tests.alignment.objectives.cases import make, pair_batch


def test_a_batch_with_a_lonely_response_is_refused() -> None:
    """A pair view never matches a chosen response with another example's rejected one."""
    batch = Batch(torch.zeros(2), torch.ones(2), torch.tensor([0, 1]), torch.tensor([0, 1]), torch.zeros(2))

    with pytest.raises(UnpairedExample):
        batch.pairs()


def test_reading_ratios_without_a_reference_is_an_error() -> None:
    """A missing reference is never taken for zero."""
    batch = pair_batch(-1.0, -2.0, reference=None, lengths=(1.0, 1.0), dtype=torch.float32)

    with pytest.raises(MissingReference):
        make("dpo").loss(batch, State())


def test_lists_pad_each_example_to_the_longest_and_mask_the_padding() -> None:
    """A list view keeps every response once, in order, and marks what is padding."""
    logps = torch.tensor([-1.0, -2.0, -3.0, -4.0, -5.0])
    batch = Batch(logps, torch.ones(5), torch.tensor([1, 0, 1, 1, 0]), torch.full((5,), int(Role.CANDIDATE)))

    lists = batch.lists()

    assert lists.logps.tolist() == [[-2.0, -5.0, 0.0], [-1.0, -3.0, -4.0]]
    assert lists.mask.tolist() == [[True, True, False], [True, True, True]]


def test_a_long_sum_is_rounded_once() -> None:
    """Thousands of values, added up one after another, lose nothing but what their type cannot hold of the sum."""
    values = -torch.rand(2, 3000, generator=torch.Generator().manual_seed(3)) * 18
    place = torch.arange(2).repeat_interleave(3000)
    expected = [math.fsum(row) for row in values.tolist()]

    found = added(values.flatten().requires_grad_(), place, 2)

    assert found.dtype == torch.float32
    assert found.tolist() == torch.tensor(expected).tolist()
    assert found.requires_grad
