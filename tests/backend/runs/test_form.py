"""GET /api/v1/run-form: what the launch form is drawn from."""

import pytest

from alignment.toyworld.recipe import RUN
from backend.runs.presets import PRESETS, Preset
from tests.backend.runs.conftest import Body
from tests.conftest import Client


def test_who_may(anonymous: Client, annotator: Client) -> None:
    """The form is for researchers."""
    assert anonymous.get("/api/v1/run-form").status_code == 401
    assert annotator.get("/api/v1/run-form").status_code == 403


def test_schema(researcher: Client) -> None:
    """The form has every part of a run, with bounds and descriptions."""
    form = researcher.get("/api/v1/run-form").json()

    assert {"tuning", "optimizer", "batch", "length", "duration", "precision", "seed"} <= set(
        form["schema"]["properties"]
    )
    rate = form["schema"]["$defs"]["Optimizer"]["properties"]["learning_rate"]
    assert (rate["exclusiveMinimum"], rate["maximum"]) == (0, 1)
    assert rate["description"]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_presets_can_be_launched(researcher: Client, body: Body, preset: Preset) -> None:
    """No preset holds a setting that a run refuses."""
    told = researcher.post("/api/v1/runs/preflight", json=body() | preset.values).json()

    assert told["errors"] == []


def test_toy_preset_is_the_measured_recipe() -> None:
    """The form starts the toy world with the very settings whose win rate is measured."""
    toy = next(preset for preset in PRESETS if preset.name == "toy")

    assert toy.values == {name: value for name, value in RUN.items() if name != "kind"}
