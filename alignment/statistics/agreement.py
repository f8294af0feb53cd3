"""How far two raters agree beyond chance."""

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple


class Agreement(NamedTuple):
    """Cases both rated, how many they rated alike, and Cohen's kappa (nan where chance alone explains everything)."""

    n: int
    agreed: int
    kappa: float


def agreement(first: Sequence[str], second: Sequence[str]) -> Agreement:
    """The agreement of two raters on the same cases, in the same order.  Raises ValueError for unequal lengths."""
    agreed = sum(one == other for one, other in zip(first, second, strict=True))
    if not first:
        return Agreement(0, 0, math.nan)
    from sklearn.metrics import cohen_kappa_score

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one category on both sides: kappa is 0 / 0
        return Agreement(len(first), agreed, float(cohen_kappa_score(first, second)))
