"""The shape of an objective: its loss and gradient as one example moves, for the plot of its theory card."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from alignment.curves import CURVES, Undrawn, require_facts, undrawable, usual_facts
from alignment.objectives import CATALOGUE, Objective
from alignment.objectives.facts import Unfit
from alignment.parts import said
from backend.errors import Conflict, Invalid, NotFound

_NUMBERS = TypeAdapter(list[Annotated[float, Field(allow_inf_nan=False, strict=True)]])


class NoCurve(Conflict):
    title = "No curve"


class LineOut(BaseModel):
    """One example that moves. A number that is not finite is null."""

    of: str = Field(description="`pair`, `ranking`, or the role of a single response.")
    loss: list[float | None]
    slope: list[float | None] = Field(description="Derivative of the loss along the axis.")
    gradients: dict[str, list[float | None]] = Field(
        description="Derivative of the loss with respect to the summed log-probability of each response."
    )


class CurveOut(BaseModel):
    """Loss and gradients over `x`, in nats: a pair's margin, or the log-ratio to the reference of one response."""

    axis: Literal["margin", "ratio"]
    x: list[float]
    lines: list[LineOut]
    tokens: int = Field(description="Length of every response.")
    companions: int = Field(description="Examples beside the one that moves, where the loss is that of a batch.")
    assumed: list[str] = Field(description="What is taken for granted beside log-probabilities, in sentences.")
    facts: dict[str, list[float]] = Field(description="What the data say: of all responses, or of each in turn.")
    responses: list[str] = Field(description="What the responses are called, in the order of facts.")


def draw(name: str, parameters: str, reach: float, facts: str) -> CurveOut:
    """The curve of objective `name` under `parameters` and `facts`, both JSON objects."""
    objective = _objective(name, parameters)
    reason = undrawable(objective)
    if reason is not None:
        raise NoCurve(reason, remedy="Read its formula instead.")
    known = _facts(objective, facts)
    try:
        return CurveOut.model_validate(CURVES.draw(objective, reach, known))
    except Undrawn as error:
        raise NoCurve(str(error), remedy="Change its hyperparameters or facts, or read its formula instead.") from error


def _facts(objective: Objective, given: str) -> dict[str, list[float]]:
    """The usual facts of a drawn example, with those that are given in their place."""
    known = usual_facts(objective)
    for name, values in _object("facts", given, '{"score": [3, 1]}').items():
        if name not in known:
            raise Invalid(f"{objective.title} reads no fact {name!r}.", field="facts")
        try:
            found = _NUMBERS.validate_python(values)
        except ValidationError as error:
            raise Invalid(f"{name} must be a list of finite numbers.", field="facts") from error
        if len(found) != len(known[name]):
            raise Invalid(f"{name} takes {len(known[name])} numbers.", field="facts")
        known[name] = found
    try:
        require_facts(objective, known)
    except Unfit as unfit:
        raise Invalid(f"The drawn example {unfit.detail}.", field="facts", remedy=unfit.remedy) from unfit
    return known


def _object(field: str, text: str, example: str) -> dict[str, Any]:
    try:
        given: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{field} is no JSON.", field=field, remedy=f"Send {example}.") from error
    if not isinstance(given, dict):
        raise Invalid(f"{field} must be a JSON object.", field=field, remedy=f"Send {example}.")
    return given


def _objective(name: str, parameters: str) -> Objective:
    if name not in CATALOGUE:
        raise NotFound(f"There is no objective named {name!r}.", remedy=f"Known: {', '.join(sorted(CATALOGUE))}.")
    given = _object("parameters", parameters, '{"beta": 0.1}')
    try:
        return CATALOGUE[name].model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Invalid(f"{field}: {said(first)}.", field=field) from error
