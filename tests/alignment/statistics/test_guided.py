"""Where people judge next: unbiased although some strata are judged more, honest intervals, narrower than by lot."""

import numpy as np
import pytest

from alignment.statistics.corrected import TOO_FEW
from alignment.statistics.guided import UNEVEN, order, outlook, strata, stratified, stratum

EACH = np.array([0.05, 0.4, 0.9])
SHARE = np.array([0.1, 0.3, 0.6])
TRUTH = float(EACH @ SHARE)


def world(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What people would say of 600 prompts, and a judge that is too kind, and unsure where people differ."""
    judge = generator.choice([0.0, 0.5, 1.0], size=600, p=SHARE)
    return (generator.random(600) < EACH[stratum(judge)]).astype(float), judge


def ask(judge: np.ndarray, people: np.ndarray, first: int, more: int) -> np.ndarray:
    """Which prompts people judged: `first` as they come, `more` as `order` has it."""
    asked = np.zeros(len(judge), dtype=bool)
    asked[:first] = True
    own = stratum(judge)
    left = np.bincount(own[~asked], minlength=3)
    for place in order(strata(people[asked], judge[asked], judge[~asked]), left, more):
        asked[np.flatnonzero((own == place) & ~asked)[0]] = True
    return asked


def test_intervals_cover_although_people_judge_the_doubtful_ones() -> None:
    """Over 500 evaluations with a biased judge, 95 % intervals hold the truth 93-97 %, while the plain rate of what
    people judged, and the judge's own, are elsewhere.
    """
    generator = np.random.default_rng(0)
    held, plain, alone = 0, [], []
    for _ in range(500):
        people, judge = world(generator)
        asked = ask(judge, people, 30, 60)
        found = stratified(people[asked], judge[asked], judge[~asked])
        held += found.low <= TRUTH <= found.high
        plain.append(found.people_alone)
        alone.append(found.judge_alone)

    assert 0.93 <= held / 500 <= 0.97
    assert float(np.mean(plain)) < TRUTH - 0.02
    assert float(np.mean(alone)) > TRUTH + 0.05


def test_guided_verdicts_narrow_more_than_any_others() -> None:
    """What is foretold comes about, and sixty chosen verdicts take more from the interval than sixty by lot."""
    people, judge = world(np.random.default_rng(1))
    first = slice(0, 80)
    found = strata(people[first], judge[first], judge[80:])
    left = np.bincount(stratum(judge[80:]), minlength=3)
    foretold = outlook(found, left, 60, 0.95)

    assert foretold is not None
    assert foretold.guided < foretold.by_lot < foretold.now
    asked = ask(judge, people, 80, 60)
    after = stratified(people[asked], judge[asked], judge[~asked])
    assert (after.high - after.low) / 2 == pytest.approx(foretold.guided, rel=0.25)
    assert after.effective > 100


def test_too_little_is_told() -> None:
    """Fewer than twenty prompts, or a stratum that nobody judged, leave a sentence; empty strata come first."""
    people, judge = world(np.random.default_rng(2))
    won = judge == 1.0

    assert stratified(people[:10], judge[:10], judge[10:]).reason == TOO_FEW
    assert stratified(people[won][:30], judge[won][:30], judge[~won]).reason == UNEVEN
    found = strata(people[won][:30], judge[won][:30], judge[~won])
    left = np.bincount(stratum(judge[~won]), minlength=3)
    assert set(order(found, left, 10)) == {0, 1}
    assert outlook(found, left, 10, 0.95) is None
    assert order(found, np.zeros(3, dtype=np.int64), 10) == []
