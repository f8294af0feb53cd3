"""What answers are like, whoever won: how long, how varied, how repetitive. Each number with its interval over prompts.

A meter gives a `Value`: the number, and what it would be without each of the prompts. From that the jackknife makes
the interval of the number itself and, on the same prompts, of its difference to another contestant's.
"""

from alignment.meters.jackknife import Metered, Value, difference, metered
from alignment.meters.texts import Texts
from alignment.meters.told import METERS, values

__all__ = ["METERS", "Metered", "Texts", "Value", "difference", "metered", "values"]
