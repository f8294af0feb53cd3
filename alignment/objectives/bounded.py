"""Functions that papers write without a bound, finite here in value and slope: beyond a clamp they go on as lines.

Value and slope are the same at the clamp, so that a gradient never dies there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import Tensor

STEEPEST: Final = 20.0
"""Exponent from which an exponential goes on as a line: e^20 is 5e8, whose square single precision still holds."""

LIKELIEST: Final = -1e-6
"""Average log-probability from which odds go on as a line: there they are a million to one."""


def exponential(x: Tensor) -> Tensor:
    """e^x up to x = 20, then the line e^20 (x - 19)."""
    bound = x.new_full((), STEEPEST)
    # Where both sides of a minimum or maximum are equal each gets half of the gradient: the slope is e^20 there too.
    return x.minimum(bound).exp() * (1 + (x - bound).maximum(x.new_zeros(())))


def exponential_less_one(x: Tensor) -> Tensor:
    """`exponential(x) - 1`, exact near 0."""
    bound = x.new_full((), STEEPEST)
    return x.minimum(bound).expm1() + bound.exp() * (x - bound).maximum(x.new_zeros(()))


def log_complement(m: Tensor) -> Tensor:
    """log(1 - e^m) of log-probabilities m <= 0, up to m = -1e-6, then the line with the slope it has there."""
    bound = m.new_full((), LIKELIEST)
    slope = bound.exp() / bound.expm1()
    return (-m.minimum(bound).expm1()).log() + slope * (m - bound).maximum(m.new_zeros(()))


def log_odds(m: Tensor) -> Tensor:
    """log(p / (1 - p)) for p = e^m, m <= 0; clamped as `log_complement` is."""
    return m - log_complement(m)
