"""The catalogue: every objective describes and stores itself, and what is not one is refused with the reason."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from alignment.objectives import CATALOGUE
from tests.alignment.objectives.cases import NAMES, Holder, make


def bounded(field: dict[str, Any]) -> bool:
    """Whether a field's schema says where its values end; what is null or another part of a catalogue is bounded."""
    if "anyOf" in field:
        return all(map(bounded, field["anyOf"]))
    if field.get("type") in ("number", "integer"):
        return all({f"{side}imum", f"exclusive{side.title()}imum"} & set(field) for side in ("min", "max"))
    if field.get("type") == "array":
        return "maxItems" in field and bounded(field["items"])
    if field.get("type") == "string" and "enum" not in field:
        return "maxLength" in field
    if field.get("type") == "object":
        return all(map(bounded, field["properties"].values()))
    return field.get("type") in ("boolean", "null") or "enum" in field or "oneOf" in field or "const" in field


@pytest.mark.parametrize("name", NAMES)
def test_every_objective_describes_itself_for_the_form(name: str) -> None:
    """Name, title, family, paper, fidelity and formula are set, and every hyperparameter is bounded and described."""
    described = CATALOGUE[name].describe()

    assert re.fullmatch(r"[a-z][a-z0-9_]*", described["name"])
    assert described["name"] == name
    assert described["title"]
    assert described["family"]
    assert described["formula"]
    assert described["summary"].endswith((".", ":"))
    assert described["paper"]["url"] or re.fullmatch(r"\d{4}\.\d{4,5}", described["paper"]["arxiv"])
    assert described["fidelity"] in ("authors_code", "paper", "reconstruction")
    assert json.loads(json.dumps(described)) == described
    for field in described["schema"]["properties"].values():
        assert field["description"].endswith(".")
        assert "default" in field
        assert bounded(field)


@pytest.mark.parametrize("name", NAMES)
def test_every_objective_survives_a_round_trip_through_its_record(name: str) -> None:
    """What is stored of an objective gives the same objective back, name included."""
    objective = make(name)

    stored = Holder(objective=objective).model_dump(mode="json")

    assert stored["objective"]["name"] == name
    assert Holder.model_validate(stored).objective == objective


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"name": "dpoo"}, "objective.name", "did you mean 'dpo'"),
        ({"name": "zzzz"}, "objective.name", "known: " + ", ".join(NAMES)),
        ({"name": "dpo", "bta": 0.1}, "objective.bta", "did you mean 'beta'"),
        ({"name": "dpo", "beta": 0}, "objective.beta", "greater than 0"),
        ({"name": "dpo", "beta": float("nan")}, "objective.beta", "finite"),
        ({"name": "dpo", "beta": float("inf")}, "objective.beta", "finite"),
        ({"name": "cdpo", "eps": 0.5}, "objective.eps", "less than 0.5"),
        ({"name": "simpo", "gamma": -1}, "objective.gamma", "greater than or equal to 0"),
        ({"name": ["dpo"]}, "objective", "names:"),
        ({"beta": 0.1}, "objective", "names:"),
        ("dpo", "objective", "names:"),
        (None, "objective", "names:"),
    ],
)
def test_a_bad_objective_is_refused_with_its_field_and_the_nearest_name(given: Any, field: str, words: str) -> None:
    """Nothing unknown or out of range is accepted, and the message says where and what was probably meant."""
    with pytest.raises(ValidationError) as refused:
        Holder.model_validate({"objective": given})

    (error,) = refused.value.errors()
    assert ".".join(map(str, error["loc"])) == field
    assert words in error["msg"]


def test_the_published_schema_lists_every_objective_by_name() -> None:
    """The API schema offers each part of the catalogue with its name as a constant."""
    schema = Holder.model_json_schema()["properties"]["objective"]

    assert [choice["properties"]["name"]["const"] for choice in schema["oneOf"]] == NAMES


def test_reading_the_catalogue_does_not_import_torch() -> None:
    """The web process can list objectives without paying for torch."""
    code = "import sys; from alignment.objectives import CATALOGUE; assert CATALOGUE; assert 'torch' not in sys.modules"

    subprocess.run([sys.executable, "-c", code], check=True)
