"""What a spec may say of further checkpoints: those that its objective asks for, and those that tell it rewards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from alignment.objectives import Objective, rewards

RewardBeta = Annotated[
    Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] | None,
    Field(
        description="Scale of implicit rewards: beta of the run that the checkpoint named reward comes from;"
        f" {rewards.BETA:g} where it is empty.",
    ),
]


def refuse_other_thirds(names: Iterable[str], objective: Objective | None) -> None:
    """Raise when these are not the third checkpoints that the objective asks for; None is an objective at fault."""
    if objective is None:
        return
    given, needed = set(names), objective.needs.third
    offered = rewards.tellable(objective.needs).keys()
    for name in rewards.references(given):
        if name not in map(rewards.reference_of, rewards.rewards(given & offered)):
            message = "'{name}' is what an implicit reward is measured against: name the checkpoint of that reward, too"
            raise PydanticCustomError("third_alone", message, {"name": name})
    given -= offered | set(rewards.references(given))
    for name in sorted(needed - given):
        message = "{title} needs another checkpoint as its {name}: name one"
        raise PydanticCustomError("third_missing", message, {"title": objective.title, "name": name})
    for name in sorted(given - needed):
        message = "{title} asks for no checkpoint named '{name}': leave it out"
        raise PydanticCustomError("third_unasked", message, {"title": objective.title, "name": name})


def refuse_idle_beta(beta: float | None, third: Iterable[str], field: str) -> None:
    """Raise at the field when the scale of implicit rewards is given where there is none."""
    if beta is not None and not rewards.references(third):
        message = "no reward of these checkpoints is implicit, so this would scale nothing: leave it out"
        details = InitErrorDetails(type=PydanticCustomError("idle_beta", message), loc=(field,), input=beta)
        raise ValidationError.from_exception_data("Rewards", [details])
