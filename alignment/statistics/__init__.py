"""Win rates, means, agreement and their intervals. Every number comes with n, interval, level and seed."""

from alignment.statistics.coefficients import Coefficient, coefficients
from alignment.statistics.cohen import Agreement, agreement, cohen
from alignment.statistics.means import Mean, mean
from alignment.statistics.pairs import PairRate, by_pair
from alignment.statistics.ratings import Ratings
from alignment.statistics.win_rates import Outcome, Ties, WinRate, rated, win_rate

__all__ = [
    "Agreement",
    "Coefficient",
    "Mean",
    "Outcome",
    "PairRate",
    "Ratings",
    "Ties",
    "WinRate",
    "agreement",
    "by_pair",
    "coefficients",
    "cohen",
    "mean",
    "rated",
    "win_rate",
]
