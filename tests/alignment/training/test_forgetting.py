"""A run that forgets tells at every evaluation what it has forgotten and what it has kept, with intervals."""

import math
from pathlib import Path
from typing import Any

import pytest

from alignment.formats import snapshot
from alignment.objectives import CATALOGUE
from alignment.training import train
from tests.alignment.training.conftest import MakeSpec
from tests.alignment.training.test_resume import stopping_after
from tests.alignment.training.test_roles import rows
from tests.alignment.training.test_run import events_of, of_type

LIMITS = ("low", "high")


@pytest.fixture
def thumbs(tmp_path: Path) -> Path:
    made = snapshot.write(tmp_path / "kinds", rows("unpaired", 48, 24), kind="unpaired", policy={}, dataset={})
    return tmp_path / "kinds" / made.hash


def told(folder: Path) -> dict[int, dict[str, Any]]:
    """The values of both sets by step."""
    values = ((one["step"], one["values"]) for one in of_type(events_of(folder), "step"))
    return {step: found for step, found in values if "forget/logps" in found}


def test_which_objectives_forget() -> None:
    """Those of the family, and no other."""
    assert {name for name, one in CATALOGUE.items() if one.usual_needs().forgets} == {
        name for name, one in CATALOGUE.items() if one.family == "Forgetting"
    }


def test_both_curves_from_before_the_first_step(make_spec: MakeSpec, thumbs: Path, tmp_path: Path) -> None:
    """Unwanted answers become unlikely and retained ones do not; a run that goes on tells the same as one that never
    stopped, against the same beginning."""
    more = {
        "objective": {"name": "npo_grad_diff"},
        "snapshots": [{"path": str(thumbs)}],
        "duration": {"steps": 8},
        "evaluate": {"every_steps": 4, "samples": 0},
        "optimizer": {"learning_rate": 0.005},
    }
    spec = make_spec(**more)
    train(spec, tmp_path / "whole")
    found = told(tmp_path / "whole")

    assert sorted(found) == [0, 4, 8]
    assert found[0]["forget/change"] == found[0]["retain/change"] == 0
    last = found[8]
    for name in ("forget", "retain"):
        assert last[f"{name}/logps"] - found[0][f"{name}/logps"] == pytest.approx(last[f"{name}/change"])
        for kind in ("logps", "change"):
            low, high = (last[f"{name}/{kind}/{end}"] for end in LIMITS)
            assert low < last[f"{name}/{kind}"] < high
        assert last[f"{name}/change/high"] - last[f"{name}/change/low"] > 0
    assert last["forget/change/high"] < 0
    assert last["retain/change"] > last["forget/change"]
    (said,) = [one for one in of_type(events_of(tmp_path / "whole"), "log") if "forgetting" in one]
    assert said["forgetting"]["forget"]["split"] == "train"
    assert said["forgetting"]["retain"]["split"] == "validation"

    stop, hear = stopping_after(4)
    train(spec, tmp_path / "stopped", hear, stop)
    train(spec, tmp_path / "stopped")
    again = told(tmp_path / "stopped")
    assert sorted(again) == [0, 4, 8]
    assert all(math.isclose(again[8][name], value, rel_tol=1e-5, abs_tol=1e-7) for name, value in last.items())


def test_other_runs_tell_nothing_of_it(make_spec: MakeSpec, tmp_path: Path) -> None:
    """DPO does not forget."""
    train(make_spec(duration={"steps": 2}), tmp_path / "dpo")
    assert told(tmp_path / "dpo") == {}
    assert not (tmp_path / "dpo" / "forgetting.json").exists()
