"""The clamps of what papers write without a bound: exact up to them, a line beyond them, without a corner."""

import math
from collections.abc import Callable

import pytest
import torch

from alignment.objectives.bounded import LIKELIEST, STEEPEST, exponential, exponential_less_one, log_complement

Function = Callable[[torch.Tensor], torch.Tensor]


def value_and_slope(function: Function, x: float, dtype: torch.dtype = torch.float64) -> tuple[float, float]:
    at = torch.tensor(x, dtype=dtype, requires_grad=True)
    value = function(at)
    (slope,) = torch.autograd.grad(value, at)
    return value.item(), slope.item()


@pytest.mark.parametrize("x", [-800.0, -20.0, -1e-9, 0.0, 1e-9, 3.0, 19.999999])
def test_exponentials_are_exact_up_to_their_clamp(x: float) -> None:
    """e^x and e^x - 1 are what they say, the latter also next to 0 where e^x has lost its digits."""
    assert value_and_slope(exponential, x) == pytest.approx((math.exp(x), math.exp(x)), rel=1e-12)
    assert value_and_slope(exponential_less_one, x) == pytest.approx((math.expm1(x), math.exp(x)), rel=1e-12)


@pytest.mark.parametrize("x", [-30.0, -1.0, -1e-3, -1.1e-6])
def test_the_log_of_what_is_left_is_exact_up_to_its_clamp(x: float) -> None:
    """log(1 - e^m) is what it says for every average log-probability that is not all but certain."""
    expected = (math.log(-math.expm1(x)), math.exp(x) / math.expm1(x))

    assert value_and_slope(log_complement, x) == pytest.approx(expected, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("function", [exponential, exponential_less_one])
def test_an_exponential_goes_on_as_a_line(function: Function) -> None:
    """At its clamp and beyond it the slope is e^20, in single precision too, and the value grows by it."""
    at, slope = value_and_slope(function, STEEPEST)
    assert slope == pytest.approx(math.exp(20), rel=1e-12)
    assert value_and_slope(function, STEEPEST + 5)[0] - at == pytest.approx(5 * math.exp(20), rel=1e-12)
    for x in (STEEPEST, 100.0, 1e6):
        value, slope = value_and_slope(function, x, torch.float32)
        assert math.isfinite(value)
        assert slope == pytest.approx(math.exp(20), rel=1e-5)


def test_the_log_of_nothing_left_goes_on_as_a_line() -> None:
    """Up to certainty itself the value is finite, and the slope the one it has at its clamp."""
    at, slope = value_and_slope(log_complement, LIKELIEST)
    assert slope == pytest.approx(-1e6, rel=1e-5)
    for m in (-1e-9, 0.0):
        assert value_and_slope(log_complement, m) == pytest.approx((at + slope * (m - LIKELIEST), slope), rel=1e-9)
        assert all(map(math.isfinite, value_and_slope(log_complement, m, torch.float32)))
