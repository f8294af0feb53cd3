"""The shape of an objective: its loss and gradient as one pair's margin moves, for the plot on the Objectives page."""

import json
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from alignment.objectives import CATALOGUE, Batch, Objective, Role
from alignment.objectives.facts import find
from alignment.objectives.objective import PAIR
from backend.errors import Conflict, Invalid, NotFound

TOKENS = 32  # both responses of the drawn pair have this many
REACH = 60.0  # nats to either side of no preference
POINTS = 161


class NoCurve(Conflict):
    title = "No curve"


class CurveOut(BaseModel):
    """`margin[i]` is log pi/ref of the chosen response minus that of the rejected one, in nats."""

    margin: list[float]
    loss: list[float]
    gradient: list[float] = Field(description="Derivative of the loss with respect to the margin.")
    tokens: int = Field(description="Length of both responses.")


def draw(name: str, parameters: str) -> CurveOut:
    """The curve of objective `name` under `parameters` (a JSON object of hyperparameters)."""
    objective = _objective(name, parameters)
    needs = objective.needs
    facts = {name: find(name) for name in needs.facts}
    if needs.roles != PAIR or needs.coupled or needs.tokens or None in facts.values():
        raise NoCurve(f"{name} is no function of one pair's margin.", remedy="Read its formula instead.")
    import torch  # 1.6 s the first time; only this plot needs it in the web process

    margin = torch.linspace(-REACH, REACH, POINTS, dtype=torch.float64, requires_grad=True)
    half = margin / 2
    start = torch.full_like(margin, -1.5 * TOKENS).detach()  # an ordinary model: 1.5 nats a token
    index = torch.arange(POINTS)
    batch = Batch(
        logps=torch.cat([start + half, start - half]),
        lengths=torch.full((2 * POINTS,), float(TOKENS), dtype=torch.float64),
        example=torch.cat([index, index]),
        role=torch.cat([torch.full_like(index, int(Role.CHOSEN)), torch.full_like(index, int(Role.REJECTED))]),
        reference=None if needs.reference == "none" else torch.cat([start, start]),
        facts={
            name: torch.tensor(fact.usual, dtype=torch.float64).repeat_interleave(POINTS)
            for name, fact in facts.items()
            if fact is not None
        },
    )
    loss = objective.loss(batch, objective.begun())
    (gradient,) = torch.autograd.grad(loss.sum(), margin)
    return CurveOut(
        margin=margin.detach().tolist(), loss=loss.detach().tolist(), gradient=gradient.tolist(), tokens=TOKENS
    )


def _objective(name: str, parameters: str) -> Objective:
    if name not in CATALOGUE:
        raise NotFound(f"There is no objective named {name!r}.", remedy=f"Known: {', '.join(sorted(CATALOGUE))}.")
    try:
        given: Any = json.loads(parameters)
    except (ValueError, RecursionError) as error:
        raise Invalid("parameters is no JSON.", field="parameters", remedy='Send {"beta": 0.1}.') from error
    if not isinstance(given, dict):
        raise Invalid("parameters must be a JSON object.", field="parameters", remedy='Send {"beta": 0.1}.')
    try:
        return CATALOGUE[name].model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Invalid(f"{field}: {first['msg']}.", field=field) from error
