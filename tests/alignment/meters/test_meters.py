"""What answers are like: each meter by hand, against plain counting, and its interval against known truth."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from alignment.meters import METERS, Texts, Value, difference, metered, values
from alignment.meters.bleu import bleu, self_bleu
from alignment.meters.repetition import loops, repetition
from alignment.meters.texts import words
from alignment.meters.variety import distinct, ead, entropy, expected_kinds

GUIDE = "It is a guide to action which ensures that the military always obeys the commands of the party"
REFERENCES = [
    "It is a guide to action that ensures that the military will forever heed Party commands",
    "It is the guiding principle which guarantees the military forces always being under the command of the Party",
    "It is the practical guide for the army always to heed the directions of the party",
]


def texts(*answers: str) -> Texts:
    """Each answer to a prompt of its own."""
    return Texts([f"p{place}" for place in range(len(answers))], answers)


def drawn(seed: int, prompts: int = 24, size: int = 30, each: int = 2) -> tuple[list[str], list[str]]:
    """Answers of words with a few frequent ones and many rare ones, `each` to a prompt."""
    generator = np.random.default_rng(seed)
    chance = 1 / np.arange(1, size + 1)
    answers = [
        " ".join(f"w{word}" for word in generator.choice(size, generator.integers(0, 14), p=chance / chance.sum()))
        for _ in range(prompts * each)
    ]
    return [f"p{place // each}" for place in range(len(answers))], answers


def test_words_are_counted_in_scripts_with_and_without_spaces() -> None:
    """Case goes, signs count, and each sign of a script without spaces is a word."""
    assert words("Don't stop, STOP!") == ["don", "'", "t", "stop", ",", "stop", "!"]
    assert words("我爱茶 and tea") == ["我", "爱", "茶", "and", "tea"]
    assert words("") == []


def test_variety_by_hand() -> None:
    """Two answers of five words in all, four of them different; entropy and expectation by their formulas."""
    two = texts("a b a", "c d")
    assert distinct(two, 1).value == pytest.approx(4 / 5)
    assert distinct(two, 2).value == 1.0  # ab, ba, cd: none runs from one answer into the next
    assert distinct(two, 1).without == pytest.approx([1.0, 2 / 3])
    assert entropy(two).value == pytest.approx(math.log2(5) - 2 / 5)
    assert entropy(two).without == pytest.approx([1.0, math.log2(3) - 2 / 3])
    assert expected_kinds(np.array([3.0]), 10.0)[0] == pytest.approx(10 * (1 - 0.9**3))
    assert expected_kinds(np.array([1e9]), 10.0)[0] == pytest.approx(10)
    assert ead(texts("a b c d e"), 10).value == pytest.approx(
        np.mean([(6 - n) / float(expected_kinds(np.array([6.0 - n]), 10.0**n)[0]) for n in range(1, 6)])
    )


def test_repetition_and_loops_by_hand() -> None:
    """Six runs of four words, two different; a loop is three times the same block at the end, twelve words or more."""
    same = texts("a b a b a b a b a", "one two three")
    assert repetition(same).value == pytest.approx((1 - 2 / 6 + 0) / 2)
    assert loops(texts("so " + "and then " * 6, "and then " * 5, "x " * 12, "a b c d " * 3, "one " * 11)).value == 0.6


def test_bleu_is_the_papers() -> None:
    """The example that BLEU is usually taught with, the paper's clipped precision, and brevity."""
    split = [one.split() for one in REFERENCES]
    assert bleu(GUIDE.split(), split) == pytest.approx(0.5045666840058485)
    assert bleu(["the"] * 7, [["the", "cat", "is", "on", "the", "mat"]]) == 0.0  # 2 of 7 words, and no two in a row
    assert bleu(["cat"], [["the", "cat", "is"]]) == pytest.approx(math.exp(-2))
    assert math.isnan(bleu([], split))


def test_self_bleu_of_copies_and_strangers() -> None:
    """Equal answers give 1, answers without a common word 0; another answer to the same prompt is no reference."""
    assert self_bleu(texts(*["the same four words here"] * 5)).value == pytest.approx(1)
    assert self_bleu(texts("a b c d", "e f g h", "i j k l")).value == 0
    assert self_bleu(Texts(["p", "p", "q"], ["a b c d", "a b c d", "e f g h"])).value == 0
    assert math.isnan(self_bleu(texts("alone")).value)


def plain(prompts: list[str], answers: list[str]) -> float:
    """Self-BLEU, answer by answer."""
    found = []
    for prompt, answer in zip(prompts, answers, strict=True):
        others = [words(one) for other, one in zip(prompts, answers, strict=True) if other != prompt and words(one)]
        if words(answer):
            found.append(bleu(words(answer), others))
    return sum(found) / len(found)


@pytest.mark.parametrize("seed", range(4))
def test_self_bleu_is_that_of_each_answer_by_itself(seed: int) -> None:
    """The linear way gives what comparing each answer with all others gives, also without a prompt."""
    prompts, answers = drawn(seed)
    found = self_bleu(Texts(prompts, answers))
    assert found.value == pytest.approx(plain(prompts, answers), abs=1e-12)
    for place in (0, 5, 11):
        left = [one for one in zip(prompts, answers, strict=True) if one[0] != f"p{place}"]
        without = plain([prompt for prompt, _ in left], [answer for _, answer in left])
        assert found.without[place] == pytest.approx(without, abs=2e-3)  # lengths that remain are left aside


@pytest.mark.parametrize("name", [name for name in METERS if name != "self_bleu"])
def test_what_is_left_without_a_prompt_is_the_meter_of_the_others(name: str) -> None:
    """Every meter's number without a prompt is what it says of the answers to the other prompts."""
    prompts, answers = drawn(7)
    found = METERS[name](Texts(prompts, answers))
    for place in range(24):
        left = [one for one in zip(prompts, answers, strict=True) if one[0] != f"p{place}"]
        again = METERS[name](Texts([prompt for prompt, _ in left], [answer for _, answer in left]))
        assert found.without[place] == pytest.approx(again.value, abs=1e-12)


@pytest.mark.parametrize("meter", [entropy, lambda one: distinct(one, 1), self_bleu])
def test_intervals_hold_the_expected_number(meter: Callable[[Texts], Value]) -> None:
    """95 % intervals hold what the meter is on average, at this number of prompts, in 88 to 100 % of 150 draws."""
    told = [metered(meter(Texts(*drawn(100 + seed, prompts=40, each=1)))) for seed in range(150)]
    truth = float(np.mean([one.value for one in told]))
    held = np.mean([one.low <= truth <= one.high for one in told])
    assert 0.88 <= held <= 1.0
    assert np.mean([one.high - one.low for one in told]) < 5 * np.std([one.value for one in told]) * 1.5


def test_a_difference_on_the_same_prompts_is_surer_than_both_numbers() -> None:
    """What both share goes; against itself the difference is 0 without spread."""
    prompts, answers = drawn(3, prompts=30, each=1)
    longer = [f"{answer} indeed" for answer in answers]
    own, other = (values(prompts, one, [None] * 30)["words"] for one in (longer, answers))
    found = metered(difference(own, other))
    assert found.value == pytest.approx(1)
    assert found.reason is not None  # each is longer by exactly one word
    assert metered(own).high - metered(own).low > 1
    assert metered(difference(own, own)).value == 0


def test_too_little_gives_no_interval_and_nothing_no_number() -> None:
    """Nine prompts give a number without interval, no answers none; unknown tokens too."""
    few = metered(distinct(texts(*[f"a{n} b c" for n in range(9)]), 1))
    assert math.isfinite(few.value)
    assert math.isnan(few.low)
    assert few.reason is not None
    for name, found in values([], [], []).items():
        told = metered(found)
        assert math.isnan(told.value), name
        assert told.reason is not None
    assert math.isnan(values(["p"], ["a"], [None])["tokens"].value)
    short = values(["p", "q"], ["", "a"], [1, 2])
    assert {name for name, one in short.items() if math.isnan(one.value)} == {"distinct_2", "distinct_3"}
