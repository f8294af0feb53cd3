"""What people and forms are told of objectives: each one's card, and all of them in the order in which to look."""

from functools import cache
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from alignment.objectives import CATALOGUE, Objective, feeding
from backend.objectives.words import NeedOut, needs_in_words

RECOMMENDED: Final = ("dpo", "ipo_avg", "simpo", "kto", "rpo_average", "rdpo")
"""Where to begin: one for each common situation. Those that the catalogue has are shown first, in this order."""


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


@cache
def catalogue() -> list[ObjectiveOut]:
    """Every objective: the recommended ones first, then by family and title."""
    return [card(part) for part in sorted(CATALOGUE.values(), key=_place)]


def card(part: type[Objective]) -> ObjectiveOut:
    """What is told of an objective, or of the loss of another kind of run."""
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
