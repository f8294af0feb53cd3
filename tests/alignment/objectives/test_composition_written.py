"""Compositions as they are written: kept as they came, and refused with the path of what is wrong."""

from typing import Any

import pytest
from pydantic import ValidationError

from alignment.objectives import CATALOGUE, Objective
from tests.alignment.objectives.cases import Holder
from tests.alignment.objectives.test_composition import DPO

WRITTEN: list[dict[str, Any]] = [
    {
        "name": "sum",
        "terms": [{"weight": 0.5, "objective": DPO}, {"weight": 1.0, "objective": {"name": "nll", "per": "token"}}],
    },
    {
        "name": "lcpo",
        "annotators": "each",
        "eta0": 0.8,
        "ema": 0.2,
        "base": {"name": "simpo", "beta": 3.0, "gamma": 0.1},
    },
    {"name": "smoothed", "eps": 0.2, "base": {"name": "length_normalized", "base": {"name": "ipo_sum", "tau": 0.3}}},
]


@pytest.mark.parametrize("written", WRITTEN, ids=lambda written: written["name"])
def test_a_composition_is_written_back_as_it_was(written: dict[str, Any]) -> None:
    """What is stored names every part with all its fields, and gives the same objective again."""
    objective = Holder.model_validate({"objective": written}).objective

    stored = Holder(objective=objective).model_dump(mode="json")["objective"]
    assert stored == written
    assert Holder.model_validate_json(Holder(objective=objective).model_dump_json()).objective == objective


def deep(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = DPO
    for _ in range(levels):
        found = {"name": "sum", "terms": [{"objective": found}]}
    return found


BASE = "objective.base"


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"name": "sum", "terms": []}, "objective.terms", "at least 1"),
        ({"name": "sum", "terms": [{}] * 9}, "objective.terms", "at most 8"),
        ({"name": "sum", "terms": "dpo"}, "objective.terms", "valid list"),
        ({"name": "sum", "terms": [{"objective": None}]}, "objective.terms.0.objective", "names:"),
        ({"name": "sum", "terms": [{"objective": {"name": "dpoo"}}]}, "objective.terms.0.objective.name", "'dpo'"),
        (
            {"name": "sum", "terms": [{}, {"objective": {"name": "dpo", "bta": 1}}]},
            "objective.terms.1.objective.bta",
            "'beta'",
        ),
        ({"name": "sum", "terms": [{"wieght": 1}]}, "objective.terms.0.wieght", "'weight'"),
        ({"name": "sum", "terms": [{"weight": 0}]}, "objective.terms.0.weight", "greater than 0"),
        ({"name": "sum", "terms": [{"weight": float("inf")}]}, "objective.terms.0.weight", "finite"),
        (deep(4), "objective", "4 levels deep"),
        (deep(500), "objective", "4 levels deep"),
        ({"name": "smoothed", "base": {"name": "smoothed", "base": deep(2)}}, "objective", "4 levels deep"),
        ({"name": "smoothed", "base": {"name": "dr_dpo"}}, BASE, "no loss of each pair"),
        ({"name": "smoothed", "base": {"name": "lcpo"}}, BASE, "keeps something between steps"),
        ({"name": "smoothed", "base": {"name": "offset", "scale": 1}}, BASE, "margin"),
        ({"name": "soft_labeled", "base": {"name": "weighted"}}, BASE, "weight"),
        ({"name": "weighted", "base": {"name": "aot_paired"}}, BASE, "whole batch"),
        ({"name": "lcpo", "base": {"name": "beta_dpo"}}, BASE, "no loss of each pair"),
        ({"name": "lcpo", "base": {"name": "dpo", "beta": -1}}, "objective.base.beta", "greater than 0"),
        ({"name": "lcpo", "eta0": 1.0}, "objective.eta0", "less than 1"),
        ({"name": "offset", "scale": -1}, "objective.scale", "greater than or equal to 0"),
        ({"name": "offset", "base": {"name": "npo"}}, BASE, "compares no pairs"),
        ({"name": "length_normalized", "base": {"name": "r_dpo"}}, BASE, "counts the tokens"),
        ({"name": "length_discounted", "base": {"name": "simpo"}}, BASE, "counts the tokens"),
        ({"name": "length_discounted", "base": {"name": "npo"}}, BASE, "compares no pairs"),
        ({"name": "length_discounted", "base": {"name": "ld_dpo"}}, BASE, "single tokens"),
        ({"name": "length_normalized", "base": {"name": "sum"}}, BASE, "counts the tokens"),
        (
            {"name": "sum", "terms": [{}, {"objective": {"name": "npo"}}]},
            "objective",
            "DPO learns from pairs, and NPO does not",
        ),
        (
            {"name": "sum", "terms": [{"objective": {"name": "pl_dpo"}}, {"objective": {"name": "kto"}}]},
            "objective",
            "rankings",
        ),
    ],
)
def test_a_bad_composition_is_refused_with_the_path_of_its_field(given: dict[str, Any], field: str, words: str) -> None:
    """However deep the mistake is, the message says where, and what could stand there."""
    with pytest.raises(ValidationError) as refused:
        Holder.model_validate({"objective": given})

    (error,) = refused.value.errors()
    assert ".".join(map(str, error["loc"])) == field
    assert words in error["msg"]


def test_three_levels_within_the_outermost_are_allowed() -> None:
    """The deepest composition that is allowed works."""
    objective: Objective = Holder.model_validate({"objective": deep(3)}).objective

    assert objective.needs.reference == "sequence"


def test_the_schema_of_a_composition_holds_no_references() -> None:
    """It can stand within another schema, and names what may stand in a field that holds an objective."""
    schema = CATALOGUE["sum"].describe()["schema"]

    assert "$ref" not in str(schema)
    inner = schema["properties"]["terms"]["items"]["properties"]["objective"]
    assert inner["x-part"] == "objective"
    assert inner["properties"]["name"]["enum"] == list(CATALOGUE)
