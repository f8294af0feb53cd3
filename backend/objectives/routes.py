"""The routes of objectives: the catalogue with each one's schema, from which forms are drawn, and their curves."""

import uuid
from functools import cache
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from alignment.objectives import CATALOGUE, Objective, feeding
from backend.deps import ProjectDep, Researcher, SessionDep
from backend.objectives.curve import CurveOut, draw
from backend.objectives.fit import UnfitOut, unfit
from backend.objectives.words import NeedOut, needs_in_words

RECOMMENDED: Final = ("dpo", "ipo_avg", "simpo", "kto", "rpo_average", "rdpo")
"""Where to begin: one for each common situation. Those that the catalogue has are shown first, in this order."""

router = APIRouter(tags=["objectives"])

MOST_DATA: Final = 16  # parts of a mixture
MOST_CHARACTERS: Final = 4000


class PaperOut(BaseModel):
    title: str
    authors: str
    year: int
    arxiv: str
    equation: str
    url: str


class RangeOut(BaseModel):
    """What the paper used of one hyperparameter."""

    low: float
    high: float
    words: str


class RelativeOut(BaseModel):
    """Another objective of the catalogue; with `at` set to these hyperparameters the two losses are equal."""

    name: str
    words: str
    at: dict[str, Any] | None


class ObjectiveOut(BaseModel):
    """An objective for people and forms; `schema` is the JSON schema of its hyperparameters."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    name: str
    title: str
    family: str
    recommended: bool
    formula: str
    summary: str
    paper: PaperOut
    fidelity: str
    needs: dict[str, Any]
    needs_words: list[NeedOut]
    kinds: list[str] = Field(description="Kinds of datasets that can feed it, those that feed it most first.")
    fixes: str = Field(description="What it repairs; empty where nobody has written it.")
    costs: str
    ranges: dict[str, RangeOut] = Field(description="By hyperparameter.")
    relatives: list[RelativeOut]
    logic: str = Field(description="Symbolic form in LaTeX; empty where none is known.")
    json_schema: dict[str, Any] = Field(alias="schema")


@router.get("/objectives")
def list_objectives(_: Researcher) -> list[ObjectiveOut]:
    """Every objective that a run can be given: the recommended ones first, then by family and title."""
    return _catalogue()


@router.get("/objectives/unfit")
def list_unfit(
    _: Researcher,
    project: ProjectDep,
    session: SessionDep,
    dataset_id: Annotated[list[uuid.UUID] | None, Query(max_length=MOST_DATA)] = None,
    snapshot_id: Annotated[list[uuid.UUID] | None, Query(max_length=MOST_DATA)] = None,
    apart: Annotated[bool, Query(description="Take the sides of pairs apart, each as a single answer.")] = False,
) -> dict[str, UnfitOut]:
    """By name, the objectives that these data together cannot feed, and why."""
    return unfit(session, project, dataset_id or [], snapshot_id or [], apart)


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


@cache
def _catalogue() -> list[ObjectiveOut]:
    return [_out(part) for part in sorted(CATALOGUE.values(), key=_place)]


def _out(part: type[Objective]) -> ObjectiveOut:
    needs = part().needs  # one that is made of others needs what its usual parts do
    return ObjectiveOut.model_validate(
        {
            **part.describe(),
            "recommended": part.name in RECOMMENDED,
            "needs_words": needs_in_words(needs),
            "kinds": feeding.kinds(needs.roles),
        }
    )


def _place(part: type[Objective]) -> tuple[int, str, str]:
    first = RECOMMENDED.index(part.name) if part.name in RECOMMENDED else len(RECOMMENDED)
    return first, part.family, part.title.lower()
