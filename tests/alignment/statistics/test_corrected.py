"""A judge corrected by people: unbiased however wrong the judge is, narrower than people alone, honest intervals."""

import math

import numpy as np
import pytest

from alignment.statistics.corrected import ALL_ALIKE, NO_DOUBT, TOO_FEW, corrected

TRUTH = 2 / 3.5


def verdicts(generator: np.random.Generator, prompts: int, bias: float) -> tuple[np.ndarray, np.ndarray]:
    """People's and a judge's score of each prompt, the mean of two matches that lean the same way."""
    lean = generator.beta(2, 1.5, prompts)
    people = (generator.random((prompts, 2)) < lean[:, None]).mean(1)
    judge = (generator.random((prompts, 2)) < np.clip(lean + bias, 0, 1)[:, None]).mean(1)
    return people, 0.5 * (judge + np.clip(people + bias, 0, 1))


def test_intervals_cover_with_a_biased_judge() -> None:
    """Over a thousand simulated evaluations 95 % intervals hold the truth; the judge's own rate is nowhere near it."""
    generator = np.random.default_rng(0)
    held, alone, effective = 0, [], []
    for _ in range(1000):
        people, judge = verdicts(generator, 560, 0.2)
        found = corrected(people[:60], judge[:60], judge[60:])
        held += found.low <= TRUTH <= found.high
        alone.append(found.judge_alone)
        effective.append(found.effective)

    assert 0.93 <= held / 1000 <= 0.97
    assert float(np.mean(alone)) > TRUTH + 0.08
    assert float(np.mean(effective)) > 90


def test_a_useless_judge_is_not_trusted() -> None:
    """A judge that draws lots, and one that always says the same, leave what people say."""
    generator = np.random.default_rng(1)
    people, _ = verdicts(generator, 200, 0)
    lots = generator.random(2200)

    by_lot = corrected(people, lots[:200], lots[200:])
    stubborn = corrected(people, np.ones(200), np.ones(2000))

    assert by_lot.weight < 0.15
    assert stubborn.weight == 0
    assert stubborn.rate == pytest.approx(float(people.mean()))
    assert stubborn.effective == pytest.approx(200)


def test_a_perfect_judge_counts_fully() -> None:
    """Where the judge says what people say, n people and N verdicts are worth almost n + N people."""
    people, _ = verdicts(np.random.default_rng(2), 2100, 0)

    found = corrected(people[:100], people[:100], people[100:])

    assert found.rate == pytest.approx(float(people.mean()), abs=0.01)
    assert found.effective == pytest.approx(2100, rel=0.2)


def test_too_little_is_told() -> None:
    """Few people, few further verdicts, and people who all say the same give a sentence and no number."""
    some = np.array([0.0, 1.0] * 10)

    for found, why in (
        (corrected(some[:19], some[:19], some), TOO_FEW),
        (corrected(0.25 + 0.5 * some, 0.5 + 0.5 * some, np.full(2000, 0.75)), NO_DOUBT),
        (corrected([], [], []), TOO_FEW),
        (corrected(np.ones(20), some, some), ALL_ALIKE),
    ):
        assert math.isnan(found.rate)
        assert math.isnan(found.low)
        assert found.reason == why


def test_people_who_judged_everything_need_no_judge() -> None:
    """Without prompts that only the judge saw, people's own rate stands, with their own interval."""
    people, judge = verdicts(np.random.default_rng(3), 80, 0.2)

    found = corrected(people, judge, [])

    assert (found.weight, found.reason) == (0.0, None)
    assert found.rate == pytest.approx(float(people.mean()))
    assert found.effective == pytest.approx(80)
    assert found.low < found.rate < found.high


def test_few_people_near_the_end() -> None:
    """With as few people as are taken and a rate of 0.9 the intervals still hold what they promise."""
    generator = np.random.default_rng(4)
    held, known = 0, 0
    for _ in range(1000):
        lean = generator.beta(9, 1, 420)
        people = (generator.random((420, 2)) < lean[:, None]).mean(1)
        judge = (generator.random((420, 2)) < np.clip(lean + 0.1, 0, 1)[:, None]).mean(1)
        found = corrected(people[:20], judge[:20], judge[20:])
        known += not math.isnan(found.rate)
        held += found.low <= 0.9 <= found.high

    assert known > 900
    assert 0.93 <= held / known <= 0.98


def test_bounds_stay_within_0_and_1() -> None:
    """Close to a rate of 1 the interval ends there."""
    people = np.array([1.0] * 29 + [0.5])

    found = corrected(people, people, np.array([1.0] * 299 + [0.5]))

    assert 0 <= found.low <= found.rate <= found.high <= 1


@pytest.mark.parametrize(
    ("people", "judge", "level"),
    [([1.0], [1.0, 0.0], 0.95), ([2.0], [1.0], 0.95), ([math.nan], [1.0], 0.95), ([1.0], [1.0], 1.0)],
)
def test_what_makes_no_sense_is_refused(people: list[float], judge: list[float], level: float) -> None:
    """Unequal lengths, scores that are none, and a level of 1 are refused."""
    with pytest.raises(ValueError, match="score in"):
        corrected(people, judge, [0.5], level=level)
