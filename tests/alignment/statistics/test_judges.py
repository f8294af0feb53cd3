"""What is told of a judge: calibration, circles, self-preference, what it likes; on judges that are known."""

import math

import numpy as np
import pytest

from alignment.statistics.calibration import NO_PAIRS, NO_PROBABILITIES, calibration
from alignment.statistics.cycles import NO_TRIPLE, cycles
from alignment.statistics.dissection import ALL_ALIKE, TOO_FEW, dissect
from alignment.statistics.logistic import covariance, fit
from alignment.statistics.self_preference import NOTHING, self_preference

PROMPTS = [f"p{number}" for number in range(2000)]


def test_calibration_of_known_judges() -> None:
    """Sure by 0.7 and right in 70 %: 0. Always sure: 1 less how often it is right. Sure and right: 0."""
    outcome = np.array([1.0] * 7 + [0.0] * 3)
    probability = np.where(np.arange(10) % 2, 0.7, 0.3)  # the likelier side may be either
    folded = np.where(np.arange(10) % 2, outcome, 1 - outcome)

    assert calibration(PROMPTS[:10], probability, folded).error == pytest.approx(0, abs=1e-12)
    assert calibration(PROMPTS[:10], np.full(10, 0.999), outcome).error == pytest.approx(0.299)
    assert calibration(PROMPTS[:10], np.where(outcome > 0.5, 0.999, 0.001), outcome).error == pytest.approx(0.001)


def test_calibration_intervals_cover_and_chance_is_told_apart() -> None:
    """A judge that is surer than right by 0.1: intervals hold that; a calibrated one stays below what chance allows."""
    generator = np.random.default_rng(0)
    held, fine = 0, 0
    for trial in range(40):
        right = generator.uniform(0.5, 0.85, 300)
        turned = generator.random(300) < 0.5
        won = (generator.random(300) < right).astype(float)
        sure, outcome = (np.where(turned, 1 - one, one) for one in (right, won))
        over = np.where(turned, 1 - right - 0.1, right + 0.1)
        found = calibration(PROMPTS[:300], over, outcome, seed=trial)
        held += found.low <= 0.1 <= found.high
        calm = calibration(PROMPTS[:300], sure, outcome, seed=trial)
        fine += calm.error <= calm.by_chance

    assert held / 40 >= 0.9
    assert fine / 40 >= 0.85
    assert sum(one.n for one in found.bins) == 300
    assert all(one.right_low <= one.right <= one.right_high for one in found.bins)


def test_a_judge_without_probabilities_has_no_calibration() -> None:
    """Verdicts alone, and no verdict of people, give a sentence."""
    assert calibration(["a", "b"], [1.0, 0.5], [1.0, 0.0]).reason == NO_PROBABILITIES
    assert calibration([], [], []).reason == NO_PAIRS
    with pytest.raises(ValueError, match="lie in"):
        calibration(["a"], [1.2], [1.0])


def test_the_dbg_score_of_an_unbiased_strong_judge_is_near_0() -> None:
    """The judge's answers win 75 %; judge and others err as often: the naive difference is large, the score is not,
    and its 95 % intervals hold 0 as promised. A judge that always picks itself has 1 less what it deserves.
    """
    generator = np.random.default_rng(0)
    held, scores = 0, []
    for trial in range(400):
        truth = generator.random(150) < 0.75
        own, gold = (np.where(generator.random(150) < 0.1, ~truth, truth).astype(float) for _ in range(2))
        found = self_preference(PROMPTS[:150], own, gold, seed=trial)
        held += found.low <= 0 <= found.high
        scores.append(found.score)
    assert 0.92 <= held / 400 <= 0.98
    assert abs(float(np.mean(scores))) < 0.01
    assert found.naive > 0.2

    vain = self_preference(PROMPTS[:150], np.ones(150), gold)
    assert vain.score == pytest.approx(1 - gold.mean())
    assert vain.low > 0.1
    assert self_preference(PROMPTS[:150], gold, gold).score == 0
    assert self_preference([], [], []).reason == NOTHING


def likings(generator: np.random.Generator, matches: int) -> tuple[np.ndarray, np.ndarray]:
    """Differences in four properties, and verdicts of a judge that likes the first, dislikes the second."""
    gaps = generator.integers(-2, 3, size=(matches, 4)).astype(float)
    gaps[:, 3] = 0
    chance = 1 / (1 + np.exp(-(np.sign(gaps) @ [0.8, -0.5, 0.0, 0.0])))
    return gaps, (generator.random(matches) < chance).astype(float)


def test_dissection_finds_what_a_judge_likes() -> None:
    """Likings come back with intervals that hold them, foretell verdicts better than the first property alone, and
    do not change when the sides are exchanged.
    """
    gaps, score = likings(np.random.default_rng(3), 2000)
    names = ["length", "hedging", "questions", "code"]
    found = dissect(PROMPTS, gaps, score, names)

    known = {one.name: one for one in found.likings}
    assert list(known) == ["length", "hedging", "questions"]  # code never differs; the strongest first
    assert known["length"].low <= 0.8 <= known["length"].high
    assert known["hedging"].high < 0
    assert known["questions"].low <= 0 <= known["questions"].high
    assert known["length"].preferred == pytest.approx(0.69, abs=0.03)
    assert found.gain is not None
    assert found.gain.low > 0
    turned = dissect(PROMPTS, -gaps, 1 - score, names)
    assert [one.value for one in turned.likings] == pytest.approx([one.value for one in found.likings])


def test_likings_cover_with_clustered_prompts() -> None:
    """Three verdicts a prompt that are nearly the same: over 1,000 fits 95 % intervals hold the truth 93-97 %; taking
    verdicts for independent ones they visibly do not.
    """
    generator = np.random.default_rng(1)
    group, held, naive = np.tile(np.arange(120), 3), 0, 0
    for _ in range(1000):
        gaps = np.sign(likings(generator, 120)[0][:, :2])
        luck = generator.logistic(size=120)
        again = np.where(generator.random((3, 120)) < 0.9, luck, generator.logistic(size=(3, 120)))
        score = (gaps @ [0.8, -0.5] > again).astype(float).ravel()
        columns = np.tile(gaps, (3, 1))
        values = fit(columns, score, np.full(2, 1e-6))
        own, alone = (covariance(columns, score, values, np.full(2, 1e-6), one) for one in (group, np.arange(360)))
        held += abs(values[0] - 0.8) <= 1.98 * own[0, 0] ** 0.5
        naive += abs(values[0] - 0.8) <= 1.97 * alone[0, 0] ** 0.5
    assert 0.93 <= held / 1000 <= 0.97
    assert naive / 1000 < 0.85


def test_too_little_to_dissect() -> None:
    """Few prompts, and answers that are all alike, give a sentence."""
    assert dissect(["a"], np.ones((1, 1)), np.ones(1), ["length"]).reason == TOO_FEW
    assert dissect(PROMPTS[:50], np.zeros((50, 1)), np.ones(50), ["length"]).reason == ALL_ALIKE


def table(*rates: float) -> np.ndarray:
    """Scores of 0 against 1, 1 against 2, 2 against 0."""
    observed = np.full((3, 3), np.nan)
    for (one, other), rate in zip(((0, 1), (1, 2), (2, 0)), rates, strict=True):
        observed[one, other], observed[other, one] = rate, 1 - rate
    return observed


def test_circles_are_told_from_chance() -> None:
    """Each beats the next by much on many prompts: a sure circle. By little, or on few: a possible one. In a line:
    none, and surely none once the prompts are many.
    """
    many, few = np.full((3, 3), 200), np.full((3, 3), 12)

    sure = cycles(table(0.7, 0.7, 0.7), many)
    assert (sure.share, sure.low, sure.high, sure.triples) == (1, 1, 1, 1)
    assert sure.circles[0].contestants == (0, 1, 2)
    assert sure.circles[0].p < 0.001
    back = cycles(table(0.3, 0.3, 0.3), few)
    assert (back.share, back.low, back.high) == (1, 0, 1)
    assert back.circles[0].contestants == (0, 2, 1)
    assert back.circles[0].p > 0.05
    line = cycles(table(0.7, 0.7, 0.3), many)
    assert (line.share, line.low, line.high, line.circles) == (0, 0, 0, [])
    assert cycles(np.full((2, 2), 0.5), np.ones((2, 2), dtype=np.intp)).reason == NO_TRIPLE
    assert math.isnan(cycles(table(0.7, math.nan, 0.7), many).share)


def test_circles_hold_what_they_promise() -> None:
    """Six equals: in under 5 % of worlds a circle is called sure, though a quarter of all triples are one."""
    generator = np.random.default_rng(0)
    called, shares = 0, []
    upper = np.triu_indices(6, 1)
    for _ in range(300):
        observed = np.full((6, 6), np.nan)
        wins = generator.binomial(60, 0.5, len(upper[0])) / 60
        observed[upper], observed.T[upper] = wins, 1 - wins
        found = cycles(observed, np.full((6, 6), 60))
        called += found.low > 0
        shares.append(found.share)
    assert called / 300 < 0.05
    assert 0.15 < float(np.mean(shares)) < 0.3
