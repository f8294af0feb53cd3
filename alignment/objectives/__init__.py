"""Objectives: one loss per file, found here. `CATALOGUE` maps each name to its class; `ObjectiveSpec` validates one.

Importing this package does not import torch.
"""

from typing import Annotated

from alignment.objectives.batch import (
    HEAD,
    OWN,
    REFERENCE,
    STEP,
    Batch,
    Cut,
    OtherValue,
    Role,
    StepValue,
    Tokens,
    TokenValue,
    beside,
    head,
    own,
    step,
)
from alignment.objectives.objective import Needs, Objective, Own, Paper, Range, Relative, State
from alignment.parts import Choice, find_parts

CATALOGUE = find_parts(__name__, Objective)
_CHOICE = Choice(Objective, CATALOGUE, "an objective is written {name: dpo, …}")
resolve = _CHOICE.resolve
ObjectiveSpec = Annotated[Objective, _CHOICE]

__all__ = [
    "CATALOGUE",
    "HEAD",
    "OWN",
    "REFERENCE",
    "STEP",
    "Batch",
    "Cut",
    "Needs",
    "Objective",
    "ObjectiveSpec",
    "OtherValue",
    "Own",
    "Paper",
    "Range",
    "Relative",
    "Role",
    "State",
    "StepValue",
    "TokenValue",
    "Tokens",
    "beside",
    "head",
    "own",
    "resolve",
    "step",
]
