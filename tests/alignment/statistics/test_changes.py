"""What is said of a change: how often "worse" is said of nothing, how often the interval holds, what n is needed."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
from scipy.stats import multinomial

from alignment.statistics.changes import Change, marks, of_errors, paired, together

EVERY_WAY = 1e-4  # outcomes rarer than this are left out, and counted as if they had gone wrong


def ways(prompts: int, better: float, worse: float) -> Iterator[tuple[float, Change]]:
    """Every outcome of prompts that get better or worse so often, with its probability."""
    for up, down in itertools.product(range(prompts + 1), repeat=2):
        if up + down <= prompts:
            chance = float(
                multinomial.pmf([up, down, prompts - up - down], prompts, [better, worse, 1 - better - worse])
            )
            if chance > EVERY_WAY:
                base = [0.0] * up + [1.0] * (prompts - up)
                now = [1.0] * up + [0.0] * down + [1.0] * (prompts - up - down)
                yield chance, paired([str(one) for one in range(prompts)], base, now, margin=0.0)


@pytest.mark.parametrize("differ", [0.02, 0.1, 0.4])
def test_a_checkpoint_against_its_equal_is_called_worse_no_more_often_than_was_stated(differ: float) -> None:
    """Counted over every outcome, at a margin of nothing, the hardest there is: at most 2.5 % on one side of 95 %."""
    told = list(ways(30, differ / 2, differ / 2))
    alarm = sum(chance for chance, one in told if marks([one]) == ["worse"])
    assert alarm <= 0.025
    held = sum(chance for chance, one in told if one.low <= 0 <= one.high)
    assert held >= 0.94


def test_interval_holds_a_real_change() -> None:
    """Coverage of 95 % intervals for a fall from 100 % to 90 %, counted over every outcome."""
    told = list(ways(50, 0.03, 0.13))
    assert sum(chance for chance, one in told if one.low <= -0.1 <= one.high) >= 0.94


def test_three_equal_comparisons_at_once_are_called_worse_no_more_often_than_one() -> None:
    """400 A/A comparisons on three sets at once: Holm keeps any false alarm below the level."""
    rng = np.random.default_rng(7)
    alarms = 0
    prompts = [str(one) for one in range(40)]
    for _ in range(400):
        found = [paired(prompts, *(rng.random((2, 40)) < 0.9).astype(float).tolist(), margin=0.0) for _ in range(3)]
        alarms += together(marks(found)) == "worse"
    assert alarms <= 20


def test_a_fall_is_called_worse_and_its_absence_no_worse() -> None:
    prompts = [str(one) for one in range(400)]
    same = [1.0] * 300 + [0.0] * 100
    fallen = [0.0] * 60 + same[60:]
    worse, none = paired(prompts, same, fallen), paired(prompts, same, same)
    assert marks([worse, none]) == ["worse", "no_worse"]
    assert (worse.base, worse.now) == (0.75, 0.6)
    assert worse.difference == pytest.approx(-0.15)
    assert worse.high < -0.02 < none.low < 0 == none.difference
    assert together(["no_worse", "worse"]) == "worse"
    assert together(["no_worse", "no_worse"]) == "no_worse"
    assert together(["no_worse", "unclear"]) == together([]) == "unclear"


@pytest.mark.parametrize(("prompts", "up", "down"), [(50, 2, 3), (100, 1, 3), (150, 0, 3), (250, 1, 6)])
def test_a_fall_by_the_margin_itself_is_none(prompts: int, up: int, down: int) -> None:
    """Whatever its floating-point difference rounds to."""
    base = [0.0] * up + [1.0] * (prompts - up)
    now = [1.0] * up + [0.0] * down + [1.0] * (prompts - up - down)
    assert paired([str(one) for one in range(prompts)], base, now, margin=0.02).p == 1


def test_too_few_prompts_tell_nothing_and_how_many_would() -> None:
    """Twenty equal prompts cannot exclude a fall by two points; as many as it says do."""
    few = paired([str(one) for one in range(20)], [1.0] * 20, [1.0] * 20)
    assert marks([few]) == ["unclear"]
    assert few.needed is not None
    assert 100 < few.needed < 1000
    enough = paired([str(one) for one in range(few.needed)], [1.0] * few.needed, [1.0] * few.needed)
    assert marks([enough]) == ["no_worse"]


def test_the_prompt_is_the_unit() -> None:
    """Ten answers to each of 8 prompts are 8 observations."""
    prompts = [str(one // 10) for one in range(80)]
    found = paired(prompts, [1.0] * 80, [0.0] * 30 + [1.0] * 50)
    assert found.prompts == 8
    assert marks([found]) == ["unclear"]


def test_holm_asks_more_of_each_of_many() -> None:
    """What is clear alone may not be among many."""
    prompts = [str(one) for one in range(30)]
    one = paired(prompts, [1.0] * 30, [0.0] * 7 + [1.0] * 23, margin=0.0)
    assert marks([one]) == ["worse"]
    quiet = paired(prompts, [1.0] * 30, [1.0] * 30, margin=0.0)
    assert marks([one, *[quiet] * 20])[0] == "unclear"


def test_two_errors_are_taken_as_of_different_prompts() -> None:
    found = of_errors(0.8, 0.02, 0.6, 0.02, 400)
    assert found.low == pytest.approx(-0.2 - 1.96 * math.hypot(0.02, 0.02), abs=1e-3)
    assert marks([found]) == ["worse"]
    assert of_errors(0.8, math.nan, 0.6, 0.02, 400).reason


def test_nothing_and_nonsense() -> None:
    nothing = paired([], [], [])
    assert math.isnan(nothing.difference)
    assert nothing.reason
    assert marks([nothing]) == ["unclear"]
    with pytest.raises(ValueError, match="lie in"):
        paired(["1"], [1.5], [0.0])
