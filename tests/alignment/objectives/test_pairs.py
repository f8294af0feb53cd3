"""Objectives of pairs: what each is at the reference, and where it equals another."""

import math

import pytest
import torch

from alignment.objectives import Objective, State
from tests.alignment.objectives.cases import make, pair_batch


def both_ways(objective: Objective) -> tuple[float, float]:
    straight = pair_batch(-40.0, -70.0, reference=(-42.0, -66.0), lengths=(12.0, 31.0), dtype=torch.float64)
    swapped = pair_batch(-70.0, -40.0, reference=(-66.0, -42.0), lengths=(31.0, 12.0), dtype=torch.float64)
    return objective.loss(straight, State()).item(), objective.loss(swapped, State()).item()


def test_dpo_is_log_two_where_policy_equals_reference() -> None:
    """DPO starts at log 2, whatever beta is."""
    for beta in (0.01, 0.1, 5.0):
        batch = pair_batch(-40.0, -90.0, reference=(-40.0, -90.0))
        assert make("dpo", beta=beta).loss(batch, State()).item() == pytest.approx(math.log(2), rel=1e-12)


def test_swapping_the_sides_of_dpo_changes_the_loss_by_beta_times_the_margin() -> None:
    """loss(x) - loss(swapped x) = -beta h: the loss is antisymmetric up to the margin."""
    straight, swapped = both_ways(make("dpo", beta=0.1))

    assert straight - swapped == pytest.approx(-0.1 * (2.0 + 4.0), rel=1e-12)


def test_cdpo_is_the_smoothed_mixture_of_dpo_and_its_swap() -> None:
    """cDPO = (1-eps) DPO + eps DPO(swapped), and DPO itself at eps = 0."""
    straight, swapped = both_ways(make("dpo", beta=0.1))

    assert both_ways(make("cdpo", beta=0.1, eps=0.2))[0] == pytest.approx(0.8 * straight + 0.2 * swapped, rel=1e-12)
    assert both_ways(make("cdpo", beta=0.1, eps=0.0))[0] == pytest.approx(straight, rel=1e-12)


def test_ipo_is_zero_at_its_target_margin() -> None:
    """IPO's loss vanishes where the per-token margin is 1/(2 tau)."""
    batch = pair_batch(-8.0, -33.0, reference=(-38.0, -23.0), lengths=(10.0, 5.0), dtype=torch.float64)

    assert make("ipo_avg", tau=0.1).loss(batch, State()).item() == pytest.approx(0.0, abs=1e-20)


def test_simpo_without_margin_and_equal_lengths_is_reference_free_dpo() -> None:
    """SimPO(gamma=0, n tokens each) is DPO with a zero reference and beta / n."""
    lengths = (20.0, 20.0)
    simpo = pair_batch(-40.0, -70.0, reference=None, lengths=lengths, dtype=torch.float64)
    dpo = pair_batch(-40.0, -70.0, reference=(0.0, 0.0), lengths=lengths, dtype=torch.float64)

    expected = make("dpo", beta=0.1).loss(dpo, State())
    torch.testing.assert_close(make("simpo", beta=2.0, gamma=0.0).loss(simpo, State()), expected)
