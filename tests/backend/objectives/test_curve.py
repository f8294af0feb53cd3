"""The curve of an objective over HTTP: its own loss and slope, and clear refusals."""

import json
import math

import pytest

from alignment import curves
from alignment.curves import undrawable
from alignment.objectives import CATALOGUE
from tests.conftest import Client


def test_signed_out(anonymous: Client) -> None:
    """A curve needs a session."""
    assert anonymous.get("/api/v1/objectives/dpo/curve").status_code == 401


def test_annotators_are_refused(annotator: Client) -> None:
    """Objectives belong to research."""
    assert annotator.get("/api/v1/objectives/dpo/curve").status_code == 403


def test_a_curve_follows_its_parameters(researcher: Client) -> None:
    """The numbers are the objective's own with these hyperparameters, over as much of the axis as is asked for."""
    curve = researcher.get("/api/v1/objectives/dpo/curve", params={"parameters": '{"beta": 0.4}', "reach": 20}).json()
    (line,) = curve["lines"]
    middle = len(curve["x"]) // 2

    assert (curve["axis"], curve["x"][0], curve["x"][-1]) == ("margin", -20, 20)
    assert line["loss"][middle] == pytest.approx(math.log(2))
    assert line["loss"][-1] == pytest.approx(math.log1p(math.exp(-8)))
    assert line["gradients"]["rejected"][middle] == pytest.approx(0.2)


def test_what_has_no_curve_says_why(researcher: Client) -> None:
    """An objective that no example's log-probabilities tell is a 409 with a sentence."""
    for name, part in CATALOGUE.items():
        if part.model_json_schema().get("required") or undrawable(part()) is None:
            continue
        response = researcher.get(f"/api/v1/objectives/{name}/curve")

        assert response.status_code == 409
        assert response.json()["detail"].endswith(".")
        return


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


@pytest.mark.parametrize("reach", ["0", "-1", "nan", "inf", "1e9", "far"])
def test_a_bad_reach_is_refused(researcher: Client, reach: str) -> None:
    """An axis without an end, or none at all, is a 422."""
    assert researcher.get("/api/v1/objectives/dpo/curve", params={"reach": reach}).status_code == 422


def test_an_unknown_objective(researcher: Client) -> None:
    """An unknown name is a 404 that lists the known ones."""
    response = researcher.get("/api/v1/objectives/dpoo/curve", params={"parameters": json.dumps({})})

    assert response.status_code == 404
    assert "dpo" in response.json()["remedy"]


@pytest.mark.parametrize(
    ("name", "parameters", "facts", "said"),
    [
        ("lcpo", {"annotators": "each"}, {"annotator": [-1]}, "nobody"),
        ("lcpo", {"annotators": "each"}, {"annotator": [2e7]}, "nobody"),
        ("lcpo", {"annotators": "each"}, {"annotator": [0.5]}, "nobody"),
        ("adpo_pair_soft", {}, {"soft_label": [1.5]}, "no probability"),
        ("odpo_log", {}, {"score": [1, 3]}, "needs the first higher"),
        ("odpo_log", {}, {"score": [1e300, 1]}, "1e+300"),
    ],
)
def test_facts_that_no_example_may_have_are_refused(
    researcher: Client, name: str, parameters: dict[str, object], facts: dict[str, object], said: str
) -> None:
    """What the paper does not allow of data is not drawn either: a 422 that names the facts and says why."""
    response = researcher.get(
        f"/api/v1/objectives/{name}/curve", params={"parameters": json.dumps(parameters), "facts": json.dumps(facts)}
    )

    assert (response.status_code, response.json().get("field")) == (422, "facts")
    assert said in response.json()["detail"]


def test_a_curve_that_ends_its_process_is_no_curve(researcher: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the process dies at a curve, people read a sentence and a 409; the next curve is drawn again."""
    draw = curves.CURVES.draw
    monkeypatch.setattr(curves.CURVES, "draw", lambda objective, reach, _: draw(objective, reach, {"score": []}))
    died = researcher.get("/api/v1/objectives/dpo/curve")
    monkeypatch.undo()

    assert (died.status_code, died.json()["title"]) == (409, "No curve")
    assert died.json()["detail"].endswith(".")
    assert researcher.get("/api/v1/objectives/dpo/curve").status_code == 200
