"""When a task will be done, reckoned from the days behind."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import stdev
from typing import NamedTuple

DAYS = 7
FEWEST_DAYS = 3  # that have a spread to speak of
FOUR_IN_FIVE = 1.2816  # standard errors
TOO_FAR_DAYS = 3650.0


class Forecast(NamedTuple):
    """The pace, what is still wanted, and when that will be there."""

    remaining: int
    per_day: float
    days: float
    done_at: datetime | None
    earliest: datetime | None
    latest: datetime | None


def forecast(now: datetime, first: datetime, by_day: Sequence[int], remaining: int) -> Forecast | None:
    """The end, if labels go on coming as they did since `first` or in the last week, whichever is shorter.

    `by_day` counts the labels of each of the last days, each of 24 hours, the newest first. Less than a day counts as
    one: nobody labels around the clock. None when nothing is wanted or nothing came.
    """
    days = min(float(DAYS), max(1.0, (now - first) / timedelta(days=1)))
    looked_at = by_day[: math.ceil(days)]
    per_day = sum(looked_at) / days
    if remaining <= 0 or per_day <= 0:
        return None
    whole = looked_at[: math.floor(days)]
    earliest = latest = None
    if len(whole) >= FEWEST_DAYS:
        spread = FOUR_IN_FIVE * stdev(whole) / math.sqrt(len(whole))
        earliest, latest = _end(now, remaining, per_day + spread), _end(now, remaining, per_day - spread)
    return Forecast(remaining, per_day, days, _end(now, remaining, per_day), earliest, latest)


def _end(now: datetime, remaining: int, per_day: float) -> datetime | None:
    far = per_day <= 0 or remaining / per_day > TOO_FAR_DAYS
    return None if far else now + timedelta(days=remaining / per_day)
