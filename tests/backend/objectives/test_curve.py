"""The curve of an objective: its own loss and slope, and clear refusals."""

import json
import math

import pytest

from alignment.objectives import CATALOGUE
from tests.conftest import Client


def test_signed_out(anonymous: Client) -> None:
    """A curve needs a session."""
    assert anonymous.get("/api/v1/objectives/dpo/curve").status_code == 401


def test_annotators_are_refused(annotator: Client) -> None:
    """Objectives belong to research."""
    assert annotator.get("/api/v1/objectives/dpo/curve").status_code == 403


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_objective_draws_or_says_why_not(researcher: Client, name: str) -> None:
    """Each part of the catalogue gives a finite curve whose slope is that of its loss, or a reason."""
    response = researcher.get(f"/api/v1/objectives/{name}/curve")

    if response.status_code == 409:
        assert response.json()["detail"]
        return
    curve = response.json()
    assert all(map(math.isfinite, [*curve["loss"], *curve["gradient"]]))
    step = curve["margin"][1] - curve["margin"][0]
    for at in (20, 80, 140):
        slope = (curve["loss"][at + 1] - curve["loss"][at - 1]) / (2 * step)
        around = curve["gradient"][at - 1 : at + 2]
        assert slope == pytest.approx(curve["gradient"][at], rel=1e-6, abs=2e-3 + max(around) - min(around))


def test_dpo_at_no_preference(researcher: Client) -> None:
    """At a margin of zero DPO's loss is log 2 and its slope minus half of beta."""
    curve = researcher.get("/api/v1/objectives/dpo/curve", params={"parameters": '{"beta": 0.4}'}).json()
    middle = len(curve["margin"]) // 2

    assert curve["margin"][middle] == pytest.approx(0)
    assert curve["loss"][middle] == pytest.approx(math.log(2))
    assert curve["gradient"][middle] == pytest.approx(-0.2)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ('{"beta": -1}', "beta"),
        ('{"beta": NaN}', "beta"),
        ('{"bta": 1}', "bta"),
        ("[1]", "parameters"),
        ("{", "parameters"),
        ("[" * 1900, "parameters"),
        ("1" * 1900, "parameters"),
    ],
)
def test_bad_parameters_name_their_field(researcher: Client, parameters: str, field: str) -> None:
    """What is no hyperparameter, or out of bounds, is a 422 that names it."""
    response = researcher.get("/api/v1/objectives/dpo/curve", params={"parameters": parameters})

    assert response.status_code == 422
    assert response.json()["field"] == field


def test_an_unknown_objective(researcher: Client) -> None:
    """An unknown name is a 404 that lists the known ones."""
    response = researcher.get("/api/v1/objectives/dpoo/curve", params={"parameters": json.dumps({})})

    assert response.status_code == 404
    assert "dpo" in response.json()["remedy"]
