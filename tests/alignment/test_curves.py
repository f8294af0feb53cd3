"""The curves of objectives: each one's own numbers, computed in another process, and told why where there is none."""

import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from alignment.curves import POINTS, Curves, Undrawn, curves, undrawable, usual_facts
from alignment.objectives import CATALOGUE
from tests.alignment.objectives.cases import make

DRAWN = [name for name in CATALOGUE if undrawable(make(name)) is None]


@pytest.fixture(scope="module")
def drawing() -> Iterator[Curves]:
    """A process that draws."""
    made = Curves()
    yield made
    made.close()


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_objective_is_drawn_or_says_why_not(name: str) -> None:
    """Each part of the catalogue, as new ones come, has a finite curve of every example it learns from, or a reason."""
    objective = make(name)
    reason = undrawable(objective)
    if reason is not None:
        assert reason.endswith(".")
        return
    told = curves(objective, 60.0, usual_facts(objective))

    assert (len(told["x"]), told["x"][0], told["x"][-1]) == (POINTS, -60.0, 60.0)
    assert told["lines"]
    for line in told["lines"]:
        assert line["gradients"]
        for values in (line["loss"], line["slope"], *line["gradients"].values()):
            assert len(values) == POINTS
            assert all(value is not None and math.isfinite(value) for value in values)


@pytest.mark.parametrize("name", ["cdpo", "dpo", "ipo_avg", "simpo"])
def test_the_slope_is_that_of_the_loss(name: str) -> None:
    """Between neighbors the loss changes as the slope says."""
    told = curves(make(name), 20.0, {})
    (line,) = told["lines"]
    step = told["x"][1] - told["x"][0]

    for at in (10, 40, 60, 100):
        change = (line["loss"][at + 1] - line["loss"][at - 1]) / (2 * step)
        assert line["slope"][at] == pytest.approx(change, rel=1e-2, abs=1e-4)


def test_dpo_at_no_preference() -> None:
    """At a margin of zero DPO's loss is log 2, and each side is pushed with half of beta, apart."""
    (line,) = curves(make("dpo", beta=0.4), 60.0, {})["lines"]
    middle = POINTS // 2

    assert line["loss"][middle] == pytest.approx(math.log(2))
    assert line["slope"][middle] == pytest.approx(-0.2)
    assert line["gradients"]["chosen"][middle] == pytest.approx(-0.2)
    assert line["gradients"]["rejected"][middle] == pytest.approx(0.2)


@pytest.mark.parametrize("mask", ["independent", "activation"])
def test_divergences_are_the_least_that_log_ratios_allow(mask: str) -> None:
    """TDPO1 and SparsePO, whose masks are 1, are drawn alike: at no preference DPO's, beside it with the divergence of
    the tokens; where a token would be more than certain there is no number, and the words say what is assumed."""
    found, tdpo = curves(make("sparsepo", mask=mask), 60.0, {}), curves(make("tdpo1"), 60.0, {})
    (line,), middle = found["lines"], POINTS // 2
    p, q = math.exp(-1.5 + 30 / 32), math.exp(-1.5)
    chosen = q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))
    p = math.exp(-1.5 - 30 / 32)
    rejected = q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))

    for name in ("loss", "slope"):
        assert line[name] == pytest.approx(tdpo["lines"][0][name], rel=1e-9, abs=1e-12)
    assert line["loss"][middle] == pytest.approx(math.log(2))
    assert line["loss"][-1] == pytest.approx(math.log1p(math.exp(-0.1 * (60 + 32 * (chosen - rejected)))))
    assert all("taken to" in one for one in found["assumed"])
    (far,) = curves(make("tdpo1"), 200.0, {})["lines"]
    assert far["loss"][0] is None is far["loss"][-1]
    assert far["loss"][middle] is not None


def test_the_other_process_says_the_same(drawing: Curves) -> None:
    """What is drawn apart is what the objective gives here, number for number."""
    objective = make("ipo_avg", tau=0.3)

    assert drawing.draw(objective, 200.0, {}) == curves(objective, 200.0, {})
    assert drawing.pid not in (None, os.getpid())


def test_a_process_that_has_ended_is_started_again(drawing: Curves) -> None:
    """A curve that takes too much memory ends the process and not the machine, and whoever else ends it loses no curve:
    the next one is drawn."""
    with pytest.raises(Undrawn, match="could not be drawn"):
        drawing.draw(make("lcpo", annotators="each"), 60.0, {"annotator": [2e8]})
    assert drawing.draw(make("dpo"), 60.0, {})["axis"] == "margin"
    assert drawing.pid is not None

    os.kill(drawing.pid, signal.SIGKILL)

    assert drawing.draw(make("dpo"), 60.0, {})["axis"] == "margin"


def test_whoever_draws_does_not_load_torch() -> None:
    """A web process that shows curves stays small."""
    code = (
        "import sys; from alignment.curves import CURVES; from alignment.objectives import resolve;"
        "CURVES.draw(resolve({'name': 'dpo'}), 60.0, {}); assert 'torch' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
