"""Win rates, means and their intervals: thin words over scipy. Every number comes with n, interval, level and seed."""

from alignment.statistics.agreement import Agreement, agreement
from alignment.statistics.means import Mean, mean
from alignment.statistics.pairs import Meeting, PairRate, by_pair
from alignment.statistics.win_rates import Outcome, Ties, WinRate, win_rate

__all__ = [
    "Agreement",
    "Mean",
    "Meeting",
    "Outcome",
    "PairRate",
    "Ties",
    "WinRate",
    "agreement",
    "by_pair",
    "mean",
    "win_rate",
]
