"""Agreement among several annotators: textbook values, what must not change it, and what has no answer."""

import numpy as np
import pytest

from alignment.statistics import Ratings, coefficients
from alignment.statistics.coefficients import ALONE, NO_SCALE, ONE_ANSWER, ONE_CATEGORY
from alignment.statistics.resampling import NO_SPREAD, TOO_FEW, rounds_for
from tests.alignment.statistics.tables import ABSTRACTORS, FLEISS, KRIPPENDORFF, observers, table, units

STEPS = [1, 2, 3, 4, 5]


def random_ratings(seed: int, *, noise: float = 0.4, items: int = 60, people: int = 5, width: int = 4) -> Ratings:
    """Items with a truth, which most annotators see; about a third of the places are empty."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, width, items)
    unit, person = np.divmod(np.arange(items * people), people)
    wrong = rng.random(items * people) < noise
    said = np.where(wrong, rng.integers(0, width, items * people), truth[unit])
    there = rng.random(items * people) < 0.67
    return Ratings.of(unit[there], person[there], said[there], "abcd"[:width], np.arange(items))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("krippendorff_alpha_nominal", 0.743),  # Krippendorff 2011
        ("krippendorff_alpha_ordinal", 0.815),
        ("krippendorff_alpha_interval", 0.849),
        ("percent", 0.81818),  # irrCAC, pa.coeff.raw
        ("fleiss_kappa", 0.76117),  # irrCAC, fleiss.kappa.raw
        ("gwet_ac1", 0.77544),  # irrCAC, gwet.ac1.raw
    ],
)
def test_krippendorffs_own_example(name: str, value: float) -> None:
    """Four observers with missing values: the printed values of Krippendorff and of Gwet; 11 of 12 units count."""
    found = coefficients(observers(KRIPPENDORFF, "12345"), STEPS)[name]  # type: ignore[index]

    assert found.value == pytest.approx(value, abs=6e-4 if "alpha" in name else 6e-6)
    assert (found.n, found.labels, found.rounds, found.reason) == (11, 40, 1000, None)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high  # type: ignore[operator]


def test_fleiss_own_example() -> None:
    """Thirty patients and six psychiatrists: kappa 0.430, agreement 0.5556 (Fleiss 1971)."""
    found = coefficients(units(FLEISS, "12345"))

    assert found["fleiss_kappa"].value == pytest.approx(0.430, abs=5e-4)
    assert found["percent"].value == pytest.approx(0.5556, abs=5e-5)


def test_gwets_table_of_two() -> None:
    """100 patients, two abstractors: AC1 0.8493, alpha 0.7973, agreement 0.89 (irrCAC; Gwet 2014)."""
    found = coefficients(table(ABSTRACTORS, "EAN"))

    assert found["gwet_ac1"].value == pytest.approx(0.8493305, abs=1e-6)
    assert found["krippendorff_alpha_nominal"].value == pytest.approx(0.7972585, abs=1e-6)
    assert found["percent"].value == pytest.approx(0.89)


def test_one_answer_that_rules_fools_kappa_and_not_ac1() -> None:
    """118 of 125 alike, nearly all one answer: kappa is near 0 although 94 % agree, AC1 is not."""
    found = coefficients(table(((118, 5), (2, 0)), "+-"))

    assert found["fleiss_kappa"].value == pytest.approx(-0.0288, abs=5e-4)
    assert found["gwet_ac1"].value == pytest.approx(0.9407, abs=5e-4)


def test_perfect_agreement_is_one_without_an_interval() -> None:
    """Where all agree everything is 1, and no interval pretends to know that it is always so."""
    found = coefficients(observers(["abcd" * 5] * 3, "abcd"), STEPS[:4])

    assert all(one.value == pytest.approx(1) for one in found.values())
    assert {(one.low, one.high, one.reason) for one in found.values()} == {(None, None, NO_SPREAD)}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_who_is_who_does_not_matter(seed: int) -> None:
    """Annotators under other numbers, and judgements in another order, agree as much."""
    known = random_ratings(seed)
    rng = np.random.default_rng(seed)
    order, names = rng.permutation(len(known.unit)), rng.permutation(5) + 7
    turned = Ratings.of(known.unit[order], names[known.annotator[order]], known.category[order], "abcd")

    expected, found = coefficients(known, STEPS[:4]), coefficients(turned, STEPS[:4])

    for name, one in found.items():
        assert one.value == pytest.approx(expected[name].value)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_categories_are_called_matters_to_scales_alone(seed: int) -> None:
    """Categories under other names: nominal agreement stays, the ordinal one does not; turned round, both stay."""
    known = random_ratings(seed)

    def renamed(places: list[int]) -> Ratings:
        return Ratings.of(known.unit, known.annotator, np.array(places)[known.category], "abcd")

    expected = coefficients(known, STEPS[:4])
    shuffled, turned = coefficients(renamed([2, 0, 3, 1]), STEPS[:4]), coefficients(renamed([3, 2, 1, 0]), STEPS[:4])

    for name in ("percent", "fleiss_kappa", "krippendorff_alpha_nominal", "gwet_ac1"):
        assert shuffled[name].value == pytest.approx(expected[name].value)
    ordinal = expected["krippendorff_alpha_ordinal"].value
    assert shuffled["krippendorff_alpha_ordinal"].value != pytest.approx(ordinal, abs=1e-6)
    assert turned["krippendorff_alpha_ordinal"].value == pytest.approx(ordinal)
    assert turned["krippendorff_alpha_interval"].value == pytest.approx(expected["krippendorff_alpha_interval"].value)


def test_coins_agree_by_chance() -> None:
    """Answers at random: every corrected coefficient is about 0, and its interval holds 0."""
    found = coefficients(random_ratings(0, noise=1.0, items=400), STEPS[:4])

    for name in ("fleiss_kappa", "krippendorff_alpha_nominal", "krippendorff_alpha_ordinal", "gwet_ac1"):
        one = found[name]
        assert one.value == pytest.approx(0, abs=0.06)
        assert one.low is not None
        assert one.high is not None
        assert one.low < 0 < one.high


def test_labels_of_one_annotator_are_no_agreement() -> None:
    """Nothing labelled twice, or nothing at all: no number, and the reason."""
    alone = coefficients(Ratings.of([0, 1, 2], [0, 1, 0], [0, 1, 0], "ab"))
    nothing = coefficients(Ratings.of([], [], [], "ab"))

    for found in (*alone.values(), *nothing.values()):
        assert (found.value, found.low, found.high, found.n, found.labels) == (None, None, None, 0, 0)
        assert found.reason == ALONE


def test_one_answer_only_has_no_chance_corrected_agreement() -> None:
    """All said the same of everything: 100 % is said, kappa and alpha do not exist, AC1 knows the other answers."""
    found = coefficients(observers(["a" * 12] * 2, "ab"))

    assert (found["percent"].value, found["percent"].low) == (1, None)
    assert (found["fleiss_kappa"].value, found["fleiss_kappa"].reason) == (None, ONE_ANSWER)
    assert found["krippendorff_alpha_nominal"].reason == ONE_ANSWER
    assert found["gwet_ac1"].value == 1
    assert coefficients(observers(["a" * 12] * 2, "a"))["gwet_ac1"].reason == ONE_CATEGORY


def test_answers_that_are_no_scale_have_no_distances() -> None:
    """Without a scale the ordinal and the interval alpha say why there is none."""
    found = coefficients(random_ratings(4))

    assert found["krippendorff_alpha_ordinal"].value is None
    assert found["krippendorff_alpha_interval"].reason == NO_SCALE


def test_few_items_have_a_number_and_no_interval() -> None:
    """Nine items are too few for an interval; their agreement is still told."""
    found = coefficients(observers(["aabbaabba", "aabbaabbb"], "ab"))["krippendorff_alpha_nominal"]

    assert found.value is not None
    assert (found.low, found.high, found.reason) == (None, None, TOO_FEW)


def test_what_is_judged_together_is_drawn_together() -> None:
    """Six comparisons of one ranking are one item: taken for six they would halve the interval."""
    known = random_ratings(7, items=40)
    copies = [np.repeat(column, 6) for column in (known.unit, known.annotator, known.category)]
    unit = copies[0] * 6 + np.tile(np.arange(6), len(known.unit))
    apart = Ratings.of(unit, copies[1], copies[2], "abcd", np.arange(240))
    together = apart._replace(item=np.arange(240) // 6)

    once, wide, narrow = (coefficients(ratings)["percent"] for ratings in (known, together, apart))

    assert wide.value == narrow.value == pytest.approx(once.value)
    assert (wide.n, narrow.n) == (once.n, 6 * once.n)
    assert wide.high - wide.low == pytest.approx(once.high - once.low, rel=0.1)  # type: ignore[operator]
    assert narrow.high - narrow.low < 0.55 * (wide.high - wide.low)  # type: ignore[operator]


def test_intervals_hold_what_they_promise() -> None:
    """Of 100 samples of 60 items from one crowd, about 95 % of the intervals of alpha hold its true value."""
    true = coefficients(random_ratings(999, items=200_000))["krippendorff_alpha_nominal"].value
    held = 0
    for seed in range(100):
        found = coefficients(random_ratings(seed, items=60), seed=seed)["krippendorff_alpha_nominal"]
        held += found.low <= true <= found.high  # type: ignore[operator]

    assert 89 <= held <= 99


def test_the_seed_is_the_interval() -> None:
    """The same seed gives the same bounds, another one others."""
    first, again, other = (coefficients(random_ratings(5), seed=seed)["percent"] for seed in (3, 3, 4))

    assert first == again
    assert first.low != other.low
    assert first.value == other.value


def test_items_of_many_kinds_are_drawn_fewer_times() -> None:
    """What would take too long is drawn in fewer rounds, and never in too few."""
    assert [rounds_for(kinds) for kinds in (0, 20, 40_000, 10**9)] == [1000, 1000, 500, 200]


def test_ratings_that_cannot_be_are_refused() -> None:
    """Two judgements of one annotator, unknown categories, levels and lengths that make no sense."""
    with pytest.raises(ValueError, match="judges a unit once"):
        Ratings.of([0, 0], [1, 1], [0, 1], "ab")
    with pytest.raises(ValueError, match="one of those named"):
        Ratings.of([0], [0], [2], "ab")
    with pytest.raises(ValueError, match="same length"):
        Ratings.of([0, 1], [0], [0], "ab")
    with pytest.raises(ValueError, match="belong to an item"):
        Ratings.of([0, 1], [0, 0], [0, 0], "ab", [0])
    with pytest.raises(ValueError, match="between 0 and 1"):
        coefficients(random_ratings(1), level=95)
