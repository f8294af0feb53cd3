"""Strengths and rankings: textbook values, known truth found again, intervals by prompt, and none where none is."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from alignment.statistics.ranking import Met, Ranking, rank
from alignment.statistics.strengths import Counts, TieModel, fit, likelihood, probabilities, separate

CITATIONS = {("B", "C"): (730, 33), ("B", "A"): (498, 320), ("B", "R"): (221, 284), ("C", "A"): (68, 813),
             ("C", "R"): (17, 276), ("A", "R"): (142, 325)}  # fmt: skip
ABILITIES = {"B": 0.0, "C": -2.9491, "A": -0.4796, "R": 0.2690}
"""Turner and Firth 2012, table 2: journals by who cites whom, Biometrika at 0."""


def counts(contestants: int, wins: np.ndarray, ties: np.ndarray, losses: np.ndarray) -> Counts:
    first, second = np.triu_indices(contestants, 1)
    return Counts(contestants, first, second, *(np.asarray(one, dtype=np.float64) for one in (wins, ties, losses)))


def played(results: list[tuple[int, int, int, float]]) -> Met:
    prompt, first, second, score = zip(*results, strict=True)
    return Met(np.array(prompt), np.array(first), np.array(second), np.array(score, dtype=np.float64))


def test_the_textbook_abilities() -> None:
    """The statisticians' journals have the published abilities to four decimals."""
    order = "BCAR"
    pairs = [(order[i], order[j]) for i, j in zip(*np.triu_indices(4, 1), strict=True)]
    wins, losses = np.array([CITATIONS[pair] for pair in pairs], dtype=np.float64).T

    found = fit(counts(4, wins, np.zeros(6), losses)).strengths

    assert np.allclose(found - found[0], [ABILITIES[one] for one in order], atol=5e-5)


def test_the_shared_table_of_citations(shared_data: Path) -> None:
    """The same from the public file."""
    rows = [json.loads(line) for line in (shared_data / "bt_citations.jsonl").read_text().splitlines()]
    abilities = {row["item"]: row["our_mle"] for row in rows if row["kind"] == "reference" and row["model"] == "plain"}
    names = list(abilities)
    results: list[tuple[int, int, int, float]] = []
    for row in rows:
        if row["kind"] == "match":
            first, second = names.index(row["a"]), names.index(row["b"])
            for score, times in ((1.0, row["wins_a"]), (0.0, row["wins_b"])):
                results += [(len(results) + place, first, second, score) for place in range(times)]

    found = rank(played(results), len(names), anchor=names.index("Biometrika"), rounds=10)

    assert {names[one.contestant]: round(one.strength, 4) for one in found.standings} == pytest.approx(abilities)


@pytest.mark.parametrize(("model", "tie"), [("half", 0.0), ("davidson", -0.4), ("rao_kupper", 0.6)])
def test_known_strengths_are_found_again(model: TieModel, tie: float) -> None:
    """From expected counts each model finds the strengths and the ease of ties that they were made with."""
    truth = np.array([0.9, 0.2, -0.1, -1.0])
    first, second = np.triu_indices(4, 1)
    win, draw, lose = probabilities(truth[first] - truth[second], tie, model)

    found = fit(counts(4, 1e5 * win, 1e5 * draw, 1e5 * lose), model)

    assert np.allclose(found.strengths, truth - truth.mean(), atol=1e-6)
    assert float(found.tie) == pytest.approx(tie, abs=1e-6)


@pytest.mark.parametrize("model", ["half", "davidson", "rao_kupper"])
def test_nothing_near_is_more_probable(model: TieModel) -> None:
    """The fit is the maximum of the likelihood: every small step away from it makes what happened less probable."""
    generator = np.random.default_rng(3)
    made = counts(5, *(generator.integers(1, 9, size=10) for _ in range(3)))
    found = fit(made, model)
    best = float(likelihood(made, found))

    for _ in range(40):
        step = generator.normal(scale=0.02, size=5)
        moved = found._replace(strengths=found.strengths + step - step.mean())
        assert float(likelihood(made, moved)) < best
    if model != "half":
        for tie in (found.tie + 0.02, found.tie - 0.02):
            assert float(likelihood(made, found._replace(tie=tie))) < best


@pytest.mark.parametrize("model", ["half", "davidson", "rao_kupper"])
def test_rounds_side_by_side_are_rounds_alone(model: TieModel) -> None:
    """Fitting many rounds at once gives what each gives by itself, with ties or without."""
    generator = np.random.default_rng(4)
    wins, ties, losses = generator.integers(1, 9, size=(3, 6, 6)).astype(np.float64)
    ties[2] = 0.0

    together = fit(counts(4, wins, ties, losses), model)

    for place in range(6):
        alone = fit(counts(4, wins[place], ties[place], losses[place]), model)
        assert np.allclose(alone.strengths, together.strengths[place], atol=1e-8)


def test_whoever_has_no_strength_is_told() -> None:
    """One who lost to all, and two islands, have no finite strengths: groups are told, and no number is."""
    lost = played([(n, a, b, s) for n in range(12) for a, b, s in ((0, 1, float(n % 2)), (0, 2, 1.0), (1, 2, 1.0))])
    islands = played([(n, a, b, float(n % 2)) for n in range(12) for a, b in ((0, 1), (2, 3))])

    for met, number, groups in ((lost, 3, [{2}, {0, 1}]), (islands, 4, [{0, 1}, {2, 3}])):
        found = rank(met, number, rounds=10)
        assert sorted(map(set, found.groups), key=min) == sorted(groups, key=min)
        assert (found.standings, found.method) == ([], "none")
        assert found.reason is not None


def test_one_tie_joins() -> None:
    """A single tie against the one who lost to all makes strengths finite."""
    lost = [(n, a, b, s) for n in range(12) for a, b, s in ((0, 1, float(n % 2)), (0, 2, 1.0), (1, 2, 1.0))]

    assert len(rank(played([*lost, (12, 0, 2, 0.5)]), 3, rounds=10).groups) == 1


def _simulated(generator: np.random.Generator, prompts: int, each: int) -> Met:
    """Three contestants; on a prompt all matches lean the same way, so they are no independent ones."""
    truth = np.array([0.4, 0.0, -0.4])
    rows = []
    for prompt in range(prompts):
        lean = truth + generator.normal(scale=1.2, size=3)
        for first, second in ((0, 1), (0, 2), (1, 2)):
            chance = 1 / (1 + math.exp(lean[second] - lean[first]))
            rows += [(prompt, first, second, float(generator.random() < chance)) for _ in range(each)]
    return played(rows)


def test_intervals_cover_when_matches_share_prompts() -> None:
    """95 % intervals hold what endless prompts would give; taking matches for independent ones they do so far less."""
    generator = np.random.default_rng(11)
    endless = rank(_simulated(generator, 6000, 1), 3, rounds=2).standings
    truth = {one.contestant: one.strength for one in endless}

    held = {"prompts": 0, "matches": 0}
    for seed in range(300):
        met = _simulated(generator, 60, 2)
        alone = met._replace(prompt=np.arange(len(met.prompt)))
        for name, data in (("prompts", met), ("matches", alone)):
            standings = rank(data, 3, rounds=300, seed=seed).standings
            held[name] += sum(one.low <= truth[one.contestant] <= one.high for one in standings)

    assert 0.92 <= held["prompts"] / 900 <= 0.98
    assert held["matches"] / 900 < 0.9


def test_drawing_alike_prompts_by_their_number() -> None:
    """One match a prompt: prompts on which the same happened are drawn together, which changes no interval much."""
    generator = np.random.default_rng(5)
    many = played([(n, 0, 1, float(generator.random() < 0.6)) for n in range(2000)])
    few = played([(n, 0, 1, float(generator.random() < 0.6)) for n in range(12)])

    (top, _), share = rank(many, 2, rounds=2000).standings, float(many.score.mean())
    middle = math.log(share / (1 - share))
    expected = 1.96 * 0.5 * math.sqrt(1 / (2000 * share * (1 - share)))
    assert top.high - top.strength == pytest.approx(expected, rel=0.12)
    assert top.strength == pytest.approx(0.5 * abs(middle), abs=1e-6)
    assert rank(few, 2, rounds=50).method == "percentile"


def test_who_nearly_always_won_has_no_upper_bound() -> None:
    """One loss in eighty matches: no upper bound for the winner, while the others' are those of their own matches."""
    generator = np.random.default_rng(6)
    rows = [
        (prompt, first, second, float((prompt, first) == (3, 0)) if second == 2 else float(generator.random() < 0.5))
        for prompt in range(40)
        for first, second in ((0, 1), (0, 2), (1, 2))
    ]

    found = {one.contestant: one for one in rank(played(rows), 3, anchor=0, rounds=400).standings}

    assert math.isnan(found[2].high)
    assert found[2].low > 1
    assert -2 < found[1].low < found[1].strength < found[1].high < 2


@pytest.mark.parametrize("model", ["half", "davidson", "rao_kupper"])
def test_only_ties(model: TieModel) -> None:
    """Where every match tied, or in some rounds every match, all are equal and nothing breaks."""
    ties = played([(n, a, b, 0.5) for n in range(12) for a, b in ((0, 1), (0, 2), (1, 2))])
    rare = played([(n, a, b, 0.5 if n else 1.0) for n in range(12) for a, b in ((0, 1), (1, 2), (2, 0))])

    for met in (ties, rare):
        found = rank(met, 3, ties=model, rounds=50)
        assert [one.strength for one in found.standings] == pytest.approx([0, 0, 0], abs=1e-6)


def test_few_prompts_get_no_interval() -> None:
    """With nine prompts there is an order, and a sentence instead of bounds."""
    found = rank(played([(n, 0, 1, float(n % 3 > 0)) for n in range(9)]), 2)

    assert [one.contestant for one in found.standings] == [0, 1]
    assert math.isnan(found.standings[0].low)
    assert "9" in str(found.reason)


def _cycle() -> Ranking:
    """Three who beat each other in a circle, on 30 prompts."""
    return rank(played([(n, a, b, 1.0) for n in range(30) for a, b in ((0, 1), (1, 2), (2, 0))]), 3, rounds=50)


def test_a_cycle_shows_between_predicted_and_observed() -> None:
    """Where each beats the next, strengths are equal and predict halves; what was observed says otherwise."""
    found = _cycle()

    assert all(one.strength == pytest.approx(0, abs=1e-9) and one.rank == 1 for one in found.standings)
    assert found.predicted[0, 1] == pytest.approx(0.5)
    assert found.observed[0, 1] == 1.0
    assert found.observed[1, 0] == 0.0


def test_the_same_seed_gives_the_same_bounds() -> None:
    """Another seed moves the bounds, the same one does not."""
    met = _simulated(np.random.default_rng(1), 20, 1)

    one, again, other = (rank(met, 3, rounds=100, seed=seed).standings for seed in (1, 1, 2))

    assert one == again
    assert one != other


@pytest.mark.parametrize(
    ("row", "wrong"), [((0, 0, 0, 1.0), "itself"), ((0, 0, 2, 1.0), "places"), ((0, 0, 1, 0.7), "score"),
                       ((0, 0, 1, math.nan), "score"), ((0, -1, 1, 1.0), "places")]
)  # fmt: skip
def test_what_is_no_match_is_refused(row: tuple[int, int, int, float], wrong: str) -> None:
    """A score in between, a stranger, and a match against oneself are refused by name."""
    with pytest.raises(ValueError, match=wrong):
        rank(played([row]), 2)


def test_unknown_tie_models_are_refused() -> None:
    """The sentence names those that there are."""
    with pytest.raises(ValueError, match="davidson"):
        fit(counts(2, np.ones(1), np.ones(1), np.ones(1)), "dropped")  # type: ignore[arg-type]


def test_groups_are_all_or_one() -> None:
    """Counts in which everyone has won and lost are one group."""
    assert separate(counts(3, np.ones(3), np.zeros(3), np.ones(3))) == [[0, 1, 2]]
