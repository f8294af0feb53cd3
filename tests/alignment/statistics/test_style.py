"""Style control: equals stay equal where a judge only likes length, and a better one stays better."""

import numpy as np
import pytest

from alignment.statistics.features import STYLES, measure, shares
from alignment.statistics.ranking import APART, Met, rank
from alignment.statistics.style import styled


def meetings(generator: np.random.Generator, quality: float, prompts: int = 150) -> tuple[Met, np.ndarray]:
    """Three contestants; the third is wordy, the second better by `quality`; the judge likes length as well."""
    pairs = np.tile([[0, 1], [1, 2], [2, 0]], (prompts, 1))
    length = np.exp(generator.normal([0.0, 0.0, 0.7], 0.5, size=(prompts, 3)))
    prompt = np.repeat(np.arange(prompts), 3)
    gaps = shares(length[prompt, pairs[:, 0]], length[prompt, pairs[:, 1]])
    worth = np.array([0.0, quality, 0.0])
    chance = 1 / (1 + np.exp(-(worth[pairs[:, 0]] - worth[pairs[:, 1]]) - 4.0 * gaps))
    score = (generator.random(len(pairs)) < chance).astype(float)
    return Met(prompt, pairs[:, 0], pairs[:, 1], score), gaps[:, None]


def test_intervals_cover_where_only_length_differs() -> None:
    """The plain ranking puts the wordy one ahead; at equal style 95 % intervals of its strength hold 0 as promised."""
    generator = np.random.default_rng(0)
    held, ahead = 0, []
    for _ in range(400):
        met, gaps = meetings(generator, 0.0)
        found = {one.contestant: one for one in styled(met, 3, gaps, ["length"]).standings}
        held += found[2].low <= 0 <= found[2].high
        ahead.append(found[2].strength)
    assert 0.925 <= held / 400 <= 0.975
    assert abs(float(np.mean(ahead))) < 0.05
    assert rank(met, 3, rounds=200).standings[0].contestant == 2


def test_what_is_better_stays_better() -> None:
    """The second is first at equal style, its rank is sure, and the judge's taste for length is found."""
    met, gaps = meetings(np.random.default_rng(1), 1.0, 400)
    found = styled(met, 3, gaps, ["length"])

    first = found.standings[0]
    assert (first.contestant, first.rank, first.best, first.worst) == (1, 1, 1, 1)
    assert first.low <= 1.0 <= first.high
    assert found.effects[0].low > 1.0
    assert (found.n, found.prompts, found.reason) == (1200, 400, None)


def test_a_style_in_which_none_differ_and_groups_apart() -> None:
    """No effect is told where there is none to see, and no ranking where there is none."""
    met, gaps = meetings(np.random.default_rng(2), 0.0)
    found = styled(met, 3, np.column_stack([gaps, np.zeros(len(gaps))]), ["length", "bold"])

    assert np.isnan(found.effects[1].value)
    assert styled(met, 4, gaps, ["length"]).reason == APART


def test_what_is_counted() -> None:
    """Headings, bold words and lists are those of Markdown; shares stay between -1 and 1."""
    text = "# Title\nSome **bold** words and __more__.\n- one\n* two\n3. three\nnot - this, nor 2*3*4"

    assert measure(text, STYLES) == [len(text), 1, 2, 3]
    assert shares(np.array([3.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])).tolist() == [0.5, 0.0, 1.0]
    assert measure("I can\u2019t do that. Sorry!", ["refusals", "apologies", "exclamation marks"]) == [1, 1, 1]


@pytest.mark.parametrize(
    "bomb", ["**" * 10_000, "`" * 20_001, "_" * 20_001, "(" + "a" * 20_000, "1" * 20_000, " " * 20_000]
)
def test_no_text_is_slow(bomb: str) -> None:
    """Text made to be hard to match is measured like any other."""
    assert len(measure(bomb)) > 10
