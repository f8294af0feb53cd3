"""Judges: one way to decide a match per file, found here. `CATALOGUE` maps each name to its class.

Importing this package imports neither torch nor transformers.
"""

from typing import Annotated

from alignment.judges.judge import Ask, Asked, Judge, Match, NoReply, Reply, Token, Verdict
from alignment.parts import Choice, find_parts

CATALOGUE = find_parts(__name__, Judge)
_CHOICE = Choice(Judge, CATALOGUE, "a judge is written {name: toy_truth, …}")
resolve = _CHOICE.resolve
JudgeSpec = Annotated[Judge, _CHOICE]

__all__ = [
    "CATALOGUE",
    "Ask",
    "Asked",
    "Judge",
    "JudgeSpec",
    "Match",
    "NoReply",
    "Reply",
    "Token",
    "Verdict",
    "resolve",
]
