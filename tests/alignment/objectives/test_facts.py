"""Objectives that read facts: where each equals another, and which values their papers do not allow."""

import math
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alignment.objectives import Batch, Needs, Objective, State, rewards
from alignment.objectives.composite import Composite, joined
from alignment.objectives.facts import FACTS, Reader, Unfit
from tests.alignment.objectives.cases import make, pair_batch

nats = st.floats(-200, 0)
unit = st.floats(0, 1)


def pair(facts: dict[str, list[Any]], logps: tuple[float, float] = (-42.0, -51.0)) -> Batch:
    return pair_batch(*logps, reference=(-45.0, -50.0), facts=facts)


def value(objective: Objective, batch: Batch) -> float:
    return objective.loss(batch, State()).item()


def dpo(beta: float, batch: Batch) -> float:
    return value(make("dpo", beta=beta), batch)


@given(nats, nats)
def test_an_offset_of_nothing_leaves_dpo(chosen: float, rejected: float) -> None:
    """ODPO is DPO at margin 0, at alpha 0, and at a score gap of 1."""
    batch = pair({"score": [4.0, 3.0], "margin": [0.0, 0.0]}, (chosen, rejected))

    expected = pytest.approx(dpo(0.3, batch), rel=1e-12)
    assert value(make("odpo_offset", beta=0.3), batch) == expected
    assert value(make("odpo_log", beta=0.3), batch) == expected
    wide = pair({"score": [9.0, 3.0]}, (chosen, rejected))
    assert value(make("odpo_log", beta=0.3, alpha=0), wide) == expected


@given(nats, nats, st.floats(-5, 5), st.floats(-5, 5))
def test_modpo_with_all_weight_on_its_pairs_is_dpo(chosen: float, rejected: float, one: float, other: float) -> None:
    """The other objectives' rewards count by their weights alone; where they do not differ, MODPO is DPO(beta / w0)."""
    batch = pair({"aspect:a": [one, other], "aspect:b": [other, one]}, (chosen, rejected))
    alike = pair({"aspect:a": [one, one]}, (chosen, rejected))

    alone = make("modpo", beta=0.2, w=[1, 0, 0], aspects=["a", "b"])
    assert value(alone, batch) == pytest.approx(dpo(0.2, batch), rel=1e-12)
    shared = make("modpo", beta=0.2, w=[0.5, 0.5], aspects=["a"])
    assert value(shared, alike) == pytest.approx(dpo(0.4, alike), rel=1e-12)


def test_madpo_amplifies_hard_pairs_and_damps_doubtful_ones() -> None:
    """Between 0 and tau a pair counts for more than in DPO, between -tau and 0 for less; far off it is finite."""
    objective = make("madpo", tau=2.0)

    for gap, more in ((1.0, True), (-1.0, False), (50.0, False)):
        batch = pair({"score": [gap, 0.0]})
        assert (value(objective, batch) > dpo(0.1, batch)) is more
    for gap in (1e9, -1e9):
        assert math.isfinite(value(make("madpo", lam=100.0, c_max=100.0, c_min=1e-3), pair({"score": [gap, 0.0]})))


@given(nats, nats)
def test_madpo_without_two_factors_is_dpo(chosen: float, rejected: float) -> None:
    """c_max = c_min = 1 is 0/0 in the formula and DPO here."""
    batch = pair({"score": [0.7, 0.1]}, (chosen, rejected))

    assert value(make("madpo", c_max=1, c_min=1), batch) == pytest.approx(dpo(0.1, batch), rel=1e-12)


@given(nats, nats, st.floats(0, 0.49))
def test_soft_labels_are_an_error_rate_of_each_pair(chosen: float, rejected: float, eps: float) -> None:
    """ADPO on a pair is DPO at q = 1 and cDPO(eps) at q = 1 - eps; OSP is the same function."""
    sure, doubtful = (pair({"soft_label": [q, q]}, (chosen, rejected)) for q in (1.0, 1 - eps))

    for name in ("adpo_pair_soft", "osp_soft_ce"):
        assert value(make(name, beta=0.2), sure) == pytest.approx(dpo(0.2, sure), rel=1e-12)
        smoothed = value(make("cdpo", beta=0.2, eps=eps), doubtful)
        assert value(make(name, beta=0.2), doubtful) == pytest.approx(smoothed, rel=1e-12)


@given(nats, nats)
def test_a_sure_win_is_a_preference_score_of_a_half(chosen: float, rejected: float) -> None:
    """SPPO at win rates 1 and 0 is GPO at scores 1/2 and -1/2: both aim at 1/(2 beta) either way."""
    batch = pair({"win_probability": [1.0, 0.0], "preference_score": [0.5, -0.5]}, (chosen, rejected))

    expected = 0.5 * ((chosen + 45 - 50) ** 2 + (rejected + 50 + 50) ** 2)
    assert value(make("sppo_soft", beta=0.01), batch) == pytest.approx(expected, rel=1e-9)
    assert value(make("gpo_score", beta=0.01), batch) == pytest.approx(expected, rel=1e-9)


@given(nats, nats, unit)
def test_online_ipo_aims_at_the_difference_of_win_rates(chosen: float, rejected: float, low: float) -> None:
    """At a difference of 1/2 it is IPO on sums with tau = beta; turning the pair round changes nothing."""
    low /= 2
    batch = pair({"win_probability": [low + 0.5, low]}, (chosen, rejected))
    turned = pair_batch(rejected, chosen, reference=(-50.0, -45.0), facts={"win_probability": [low, low + 0.5]})

    found = value(make("online_ipo", beta=0.1), batch)
    assert found == pytest.approx((chosen + 45 - rejected - 50 - 5) ** 2, rel=1e-9, abs=1e-9)
    assert value(make("online_ipo", beta=0.1), turned) == pytest.approx(found, rel=1e-9, abs=1e-9)


def told(name: str, facts: dict[str, Any], responses: int = 2, **fields: Any) -> dict[str, tuple[float, ...]]:
    return Reader(make(name, **fields)).read(facts, responses)


@pytest.mark.parametrize(
    ("name", "facts", "expected"),
    [
        ("odpo_log", {"scores": [3.5, 1]}, {"score": (3.5, 1.0)}),
        ("odpo_offset", {"margin": 2, "scores": [3.5, 1]}, {"margin": (2.0, 2.0)}),
        ("odpo_offset", {"scores": [3.5, 1]}, {"margin": (2.5, 2.5)}),
        ("adpo_pair_soft", {"soft_label": 0.7, "win_probability": 0.6}, {"soft_label": (0.7, 0.7)}),
        ("adpo_pair_soft", {"win_probability": 0.6}, {"soft_label": (0.6, 0.6)}),
        ("sppo_soft", {"win_probability": 0.75}, {"win_probability": (0.75, 0.25)}),
        (
            "sppo_soft",
            {"win_probability": 0.75, "aspects": [{"win_probability": 0.9}, {"win_probability": 0.4}]},
            {"win_probability": (0.9, 0.4)},
        ),
        (
            "gpo_score",
            {"aspects": [{"preference_score": 2, "a": 1}, {"preference_score": -1}]},
            {"preference_score": (2.0, -1.0)},
        ),
        ("modpo", {"aspects": [{"helpfulness": 4}, {"helpfulness": 2}]}, {"aspect:helpfulness": (4.0, 2.0)}),
    ],
)
def test_facts_are_found_where_data_hold_them(
    name: str, facts: dict[str, Any], expected: dict[str, tuple[float, ...]]
) -> None:
    """Each fact comes from its column, else from what says the same."""
    assert told(name, facts) == expected


def test_annotators_are_numbered_as_they_come() -> None:
    """Names become numbers that batches can hold, the same name the same number; ranks come from scores."""

    class Asking:
        title = "It"
        needs = make("dpo").needs._replace(facts=frozenset({"annotator", "rank", "weight"}))

        def objection(self, facts: Any) -> None:  # noqa: ARG002
            return None

    reader = Reader(Asking())  # type: ignore[arg-type]
    rows = [("ann", [1.0, 2.0, 2.0]), ("bob", [3.0, 1.0, 2.0]), ("ann", [0.0, 0.0, 0.0])]
    found = [reader.read({"annotator": who, "scores": scores, "weight": 2.0}, 3) for who, scores in rows]

    assert [one["annotator"] for one in found] == [(0.0,) * 3, (1.0,) * 3, (0.0,) * 3]
    assert [one["rank"] for one in found] == [(3.0, 1.0, 1.0), (1.0, 3.0, 2.0), (1.0, 1.0, 1.0)]
    assert found[0]["weight"] == (2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("name", "facts", "words"),
    [
        ("odpo_log", {}, "has no score, and ODPO asks how good each response is"),
        ("odpo_log", {"scores": [1, 2]}, "scores its chosen response 1 and its rejected one 2"),
        ("odpo_log", {"scores": [2, 2]}, "needs the first higher"),
        ("odpo_log", {"scores": [3, 2, 1]}, "has 3 values of score for 2 responses"),
        ("odpo_log", {"scores": [float("nan"), 1]}, "has nan as its score"),
        ("odpo_log", {"scores": [1e30, 1]}, "has 1e\\+30 as its score"),
        ("sppo_soft", {"win_probability": 1.2}, "has 1.2 as its win probability, which is no probability"),
        ("sppo_soft", {"aspects": [{"win_probability": 0.5}, {"win_probability": -0.1}]}, "has -0.1 as its win"),
        ("sppo_soft", {"aspects": [{"win_probability": 0.5}, {}]}, "has no win probability"),
        ("online_ipo", {"soft_label": 0.7}, "has no win probability"),
        ("adpo_pair_soft", {"soft_label": -1}, "which is no probability"),
        ("modpo", {"aspects": [{"brevity": 1}, {"brevity": 2}]}, "has no helpfulness"),
        ("gpo_score", {"aspects": []}, "has no preference score"),
    ],
)
def test_an_example_that_does_not_fit_is_refused_with_the_reason(name: str, facts: dict[str, Any], words: str) -> None:
    """A fact that is missing, misshapen or outside what the paper allows is never guessed."""
    with pytest.raises(Unfit, match=words) as refused:
        told(name, facts)

    assert refused.value.remedy.endswith(".")


class Two(Composite):
    """ODPO beside DPO."""

    name: ClassVar[str] = "two"
    title: ClassVar[str] = "Two"
    needs: ClassVar[Needs] = joined(Needs(frozenset()))

    def parts(self) -> dict[str, Objective]:
        return {"one": make("dpo"), "other": make("odpo_log")}


def test_an_objective_of_parts_has_their_objections() -> None:
    """What is made of others refuses what one of them cannot learn from."""
    with pytest.raises(Unfit, match="needs the first higher"):
        Reader(Two()).read({"scores": [1, 2]}, 2)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"w": [0.5, 0.6]}, "sum to 1.1"),
        ({"w": [0.0, 1.0]}, "at least 0.001"),
        ({"w": [0.5, 0.25, 0.25]}, "one for each aspect"),
        ({"w": [0.5, 0.25, 0.25], "aspects": ["a", "a"]}, "named once"),
        ({"w": [1.5, -0.5]}, "less than or equal to 1"),
    ],
)
def test_weights_off_the_simplex_are_refused(fields: dict[str, Any], words: str) -> None:
    """MODPO's weights are one for each objective, not negative, and sum to 1; the first one divides."""
    with pytest.raises(ValidationError, match=words):
        make("modpo", **fields)


def test_every_fact_says_what_it_is() -> None:
    """Refusals and forms can tell each fact in words, and drawings have a value for both sides of a pair."""
    for fact in FACTS.values():
        assert fact.held
        assert fact.meaning
        assert len(fact.usual) == 2


@pytest.mark.parametrize(
    ("objective", "by"),
    [
        (make("madpo"), "responses (reward), or"),
        (make("modpo", w=[0.5, 0.5], aspects=["helpfulness"]), "responses (reward.helpfulness), or"),
        (make("modpo", w=[0.5, 0.5], aspects=["grüßt/oft"]), None),
        (make("spo_degree", degrees="data"), None),
        (make("gpo_score"), None),
    ],
    ids=["scores", "aspect", "unnamed", "degrees", "against-reference"],
)
def test_a_remedy_names_the_checkpoint_that_would_tell_what_is_missing(objective: Objective, by: str | None) -> None:
    """By the name that a run gives it; where none would be taken, none is named."""
    with pytest.raises(Unfit) as lacking:
        Reader(objective).read({"aspects": [{}, {}]}, 2)

    (named,) = rewards.tellable(objective.needs) or [None]
    assert ("further checkpoint" in lacking.value.remedy) == (named is not None) == (by is not None)
    assert by is None or by in lacking.value.remedy
