"""The routes of objectives: the catalogue with each one's schema, from which forms are drawn, and their curves."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from alignment.objectives import CATALOGUE
from backend.deps import Researcher
from backend.objectives.curve import CurveOut, draw

router = APIRouter(tags=["objectives"])


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
    formula: str
    summary: str
    paper: PaperOut
    fidelity: str
    needs: dict[str, Any]
    fixes: str = Field(description="What it repairs; empty where nobody has written it.")
    costs: str
    ranges: dict[str, RangeOut] = Field(description="By hyperparameter.")
    relatives: list[RelativeOut]
    logic: str = Field(description="Symbolic form in LaTeX; empty where none is known.")
    json_schema: dict[str, Any] = Field(alias="schema")


@router.get("/objectives")
def list_objectives(_: Researcher) -> list[ObjectiveOut]:
    """Every objective that a run can be given."""
    return [ObjectiveOut.model_validate(part.describe()) for part in CATALOGUE.values()]


@router.get("/objectives/{name}/curve")
def curve(name: str, _: Researcher, parameters: Annotated[str, Query(max_length=2000)] = "{}") -> CurveOut:
    """Loss and gradient over one pair's margin; `parameters` is a JSON object of hyperparameters."""
    return draw(name, parameters)
