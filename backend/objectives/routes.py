"""The routes of objectives: the catalogue with each one's schema, from which forms are drawn, and their curves."""

import uuid
from typing import Annotated, Final

from fastapi import APIRouter, Query

from backend.deps import ProjectDep, Researcher, SessionDep
from backend.objectives.cards import ObjectiveOut, catalogue
from backend.objectives.curve import CurveOut, draw
from backend.objectives.fit import UnfitOut, read_policy, unfit

router = APIRouter(tags=["objectives"])

MOST_DATA: Final = 16  # parts of a mixture
MOST_CHARACTERS: Final = 4000


@router.get("/objectives")
def list_objectives(_: Researcher) -> list[ObjectiveOut]:
    """Every objective that a run can be given: the recommended ones first, then by family and title."""
    return catalogue()


@router.get("/objectives/unfit")
def list_unfit(
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    dataset_id: Annotated[list[uuid.UUID] | None, Query(max_length=MOST_DATA)] = None,
    snapshot_id: Annotated[list[uuid.UUID] | None, Query(max_length=MOST_DATA)] = None,
    apart: Annotated[bool, Query(description="Take the sides of pairs apart, each as a single answer.")] = False,
    policy: Annotated[str, Query(max_length=MOST_CHARACTERS, description="Which labels count: a JSON object.")] = "{}",
) -> dict[str, UnfitOut]:
    """By name, the objectives that these data together cannot feed, and why.

    Their kinds are looked at, and the facts of the first thousand examples of each; a launch looks at all.
    """
    return unfit(session, project, dataset_id or [], snapshot_id or [], apart, read_policy(policy))


@router.get("/objectives/{name}/curve")
def curve(
    name: str,
    _: Researcher,
    parameters: Annotated[str, Query(max_length=MOST_CHARACTERS)] = "{}",
    facts: Annotated[str, Query(max_length=MOST_CHARACTERS)] = "{}",
    reach: Annotated[float, Query(gt=0, le=10_000, description="How far the axis goes to either side, in nats.")] = 60,
) -> CurveOut:
    """Loss and gradient as one example moves; `parameters` is a JSON object of hyperparameters.

    `facts` is one of what the data say of the example, as the answer gives it: {"score": [3, 1]}.
    """
    return draw(name, parameters, reach, facts)
