"""Conversions between kinds of data: what each rule makes, that nothing is lost uncounted, and what is refused."""

import itertools
from collections import Counter
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from alignment.formats import Item, LabelFacts
from alignment.formats.conversion import Conversion
from alignment.formats.conversions import CONVERSIONS, MOST_MEETINGS, AnyConversion
from alignment.formats.converting import LEFT, Counted, Found
from alignment.formats.ranking import MOST_RANKED, RULES, ranks_of

SCORES = st.lists(st.integers(-3, 3).map(float), min_size=3, max_size=5)


def rule(name: str, **fields: Any) -> Conversion:
    read: TypeAdapter[Conversion] = TypeAdapter(AnyConversion)
    return read.validate_python({"name": name, **fields})


def item(prompt: str, answers: list[str], *labels: int, **facts: Any) -> Item:
    said = [LabelFacts({"strength": strength}, "person") for strength in labels]
    turns: list[Any] = [{"role": "assistant", "content": answer} for answer in answers]
    return Item([{"role": "user", "content": prompt}], turns, said, facts)


def converted(items: list[Item], conversion: Conversion) -> tuple[list[Item], Counted]:
    found = Found(items, conversion)
    return list(found.take(items)), found.counted


def texts(items: list[Item]) -> list[list[str]]:
    return [[answer["content"] for answer in one.responses] for one in items]


@st.composite
def any_items(draw: st.DrawFn, kind: str) -> list[Item]:
    """Items of a kind, some of them without what a rule asks for, several to a prompt."""
    found = []
    for place in range(draw(st.integers(0, 8))):
        prompt = draw(st.sampled_from(["a", "b", "c"]))
        count = {"paired": 2, "ranked": draw(st.integers(3, 5))}.get(kind, 1)
        facts: dict[str, Any] = {}
        if draw(st.booleans()):
            facts["scores"] = [float(draw(st.integers(-2, 2))) for _ in range(count)]
        if kind == "ranked" and draw(st.booleans()):
            facts["ranks"] = [float(draw(st.integers(1, 3))) for _ in range(count)]
        if kind == "unpaired":
            facts["desirable"] = draw(st.booleans())
        labels = [draw(st.integers(-3, 3)) for _ in range(draw(st.integers(0, 3)))] if kind == "paired" else []
        found.append(item(prompt, [f"{place}-{answer}" for answer in range(count)], *labels, **facts))
    return sorted(found, key=lambda one: one.prompt_hash)


@pytest.mark.parametrize("conversion", CONVERSIONS, ids=[one.model_fields["name"].default for one in CONVERSIONS])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_whatever_is_given_becomes_items_of_the_kind_or_is_counted(
    conversion: type[Conversion], data: st.DataObject
) -> None:
    """Every item gives something or is counted with a known reason; what is made is of the kind, once, and the same."""
    items = data.draw(any_items(conversion.KIND))
    threshold = {"threshold": 0.0} if "threshold" in conversion.model_fields else {}
    made_rule = rule(conversion.model_fields["name"].default, **threshold)

    made, counted = converted(items, made_rule)

    given_texts = {(one.prompt_hash, answer["content"]) for one in items for answer in one.responses}
    made_texts = {(one.prompt_hash, answer["content"]) for one in made for answer in one.responses}
    sources = {text.partition("-")[0] for _, text in made_texts}
    assert all(one.kind == conversion.TO for one in made)
    assert made_texts <= given_texts
    assert len({one.content_hash for one in made}) == len(made) == counted.made
    assert (counted.items, counted.left.keys() <= LEFT.keys()) == (len(items), True)
    assert len(sources) + sum(counted.left.values()) == len(items)
    assert converted(items, made_rule)[0] == made
    assert len(counted.sentences()) == len(+counted.left) + bool(counted.doubled)


@settings(max_examples=60, deadline=None)
@given(scores=SCORES, meet=st.sampled_from(sorted(RULES)), margin=st.integers(0, 4))
def test_of_rankings_the_better_answer_is_chosen_and_by_the_margin(scores: list[float], meet: str, margin: int) -> None:
    """In every pair chosen scores higher, by the margin at least; each against each are all pairs that do."""
    one = item("p", [f"{place}" for place in range(len(scores))], scores=scores)

    made, counted = converted([one], rule("rankings_to_pairs", meet=meet, margin=margin, seed=7))

    gaps = [pair.facts["scores"][0] - pair.facts["scores"][1] for pair in made]
    far = sum(better - worse >= max(margin, 1) for better in scores for worse in scores)
    assert all(gap > 0 and gap >= margin for gap in gaps)
    assert all(scores[int(chosen)] > scores[int(rejected)] for chosen, rejected in texts(made))
    assert bool(made) != bool(sum(counted.left.values()))
    if meet == "all":
        assert len(made) == far
    if meet.startswith("best"):
        assert all(scores[int(chosen)] == max(scores) for chosen, _ in texts(made))
    if meet in ("best_worst", "best_random"):
        assert len(made) <= 1


def test_a_lot_is_drawn_by_the_seed() -> None:
    """The same seed draws the same answers, another one others, and never the best or its equals."""
    answers, scores = ["best", "as good", "x", "y", "z"], [3.0, 3.0, 2.0, 1.0, 0.0]
    items = [item(f"p{place}", answers, scores=scores) for place in range(40)]

    first, again, other = (
        texts(converted(items, rule("rankings_to_pairs", meet="best_random", seed=seed))[0]) for seed in (1, 1, 2)
    )

    assert first == again != other
    assert {pair[0] for pair in first} == {"best"}
    assert {pair[1] for pair in first} == {"x", "y", "z"}


@settings(max_examples=40, deadline=None)
@given(scores=SCORES, threshold=st.integers(-3, 3), by=st.sampled_from(["score", "rank"]))
def test_a_threshold_tells_wanted_answers_from_others(scores: list[float], threshold: int, by: str) -> None:
    """Scores from it up are wanted, or ranks from 1 to it; each answer keeps its own score."""
    one = item("p", [f"{place}" for place in range(len(scores))], scores=scores, rationale="of several")

    made, _ = converted([one], rule("rankings_to_thumbs", by=by, threshold=threshold))

    ranks = ranks_of(one)
    for place, answer in enumerate(made):
        wanted = scores[place] >= threshold if by == "score" else ranks[place] <= threshold
        assert answer.facts == {"scores": [scores[place]], "desirable": wanted}


def test_pairs_become_thumbs_and_these_the_same_pairs() -> None:
    """The better side is wanted, by what the labels say; facts of two answers go, and back again."""
    pairs = [
        item("a", ["one", "two"], -2, scores=[1.0, 4.0], rationale="why", category="poem", meta={"id": 7}),
        item("b", ["one", "two"], 1, -1),
        item("c", ["one", "two"]),
    ]

    thumbs, counted = converted(pairs, rule("pairs_to_thumbs"))
    answers, _ = converted(pairs, rule("pairs_to_answers"))
    again, _ = converted(thumbs, rule("thumbs_to_pairs"))

    assert texts(thumbs) == [["two"], ["one"]]
    kept = {"category": "poem", "meta": {"id": 7}}
    assert [one.facts for one in thumbs] == [
        {**kept, "scores": [4.0], "desirable": True},
        {**kept, "scores": [1.0], "desirable": False},
    ]
    assert (texts(answers), answers[0].facts) == ([["two"]], {**kept, "scores": [4.0]})
    assert counted.left == Counter(tie=1, unlabelled=1)
    assert counted.sentences() == ["1 of 3 items are ties; left out.", "1 of 3 items have no label; left out."]
    assert (texts(again), again[0].facts) == ([["two", "one"]], {**kept, "scores": [4.0, 1.0]})


def test_thumbs_meet_in_turn_or_each_with_each() -> None:
    """In turn each answer is in one pair and what is left over is counted; otherwise all meet."""
    thumbs = [item("a", [text], desirable=text[0] == "g") for text in ("g1", "b1", "g2", "g3", "b2")]

    turn, counted = converted(thumbs, rule("thumbs_to_pairs"))
    every, _ = converted(thumbs, rule("thumbs_to_pairs", meet="all"))

    assert texts(turn) == [["g1", "b1"], ["g2", "b2"]]
    assert counted.left == Counter(no_partner=1)
    assert len(every) == 6


def test_each_with_each_stops_at_its_limit_and_spares_nobody_before() -> None:
    """Thousands of thumbs on one prompt are never all paired: pairs come one at a time, each answer in one of the first
    ones, and what is in none is counted as that."""
    thumbs = [item("a", [f"{place}"], desirable=place % 3 == 0) for place in range(12_000)]
    some, left = thumbs[:300], Counter[str]()
    every = rule("thumbs_to_pairs", meet="all")

    first = list(islice(every.turned(some, left), 200))
    made = sum(1 for _ in every.turned(thumbs, left))

    assert len({text for pair in texts(first) for text in pair}) == 300
    assert made == MOST_MEETINGS
    assert left == Counter(no_thumb=0, no_turn=0)

    thumbs = [item("a", [f"{place}"], desirable=place < 5) for place in range(MOST_MEETINGS + 12)]
    assert sum(1 for _ in every.turned(thumbs, left)) == MOST_MEETINGS
    assert left["no_turn"] == 7


@pytest.mark.parametrize("name", ["rankings_to_pairs", "rankings_to_answers", "rankings_to_thumbs"])
def test_a_ranking_that_training_refuses_is_not_converted(name: str) -> None:
    """One of more answers than training takes gives nothing, and says so; one as large as that is turned lazily."""
    options: dict[str, dict[str, Any]] = {
        "rankings_to_pairs": {"meet": "all"},
        "rankings_to_thumbs": {"threshold": 0.0, "by": "rank"},
    }
    fields = options.get(name, {})
    answers = [f"{place}" for place in range(MOST_RANKED + 1)]
    large, most = (item("p", answers[:count], ranks=[*map(float, range(count))]) for count in (MOST_RANKED + 1, 1_000))
    left: Counter[str] = Counter()

    assert list(rule(name, **fields).turned([large], left)) == []
    assert left == Counter(many=1)
    assert next(iter(rule(name, **fields).turned([most], left))).prompt == most.prompt
    assert Found([large], rule(name, **fields)).counted.sentences() == [
        "1 of 1 items have more than 1,000 answers; left out."
    ]


def test_more_answers_than_a_ranking_may_have_become_none() -> None:
    """Scored answers to one prompt by the thousand are left out, as training would refuse their ranking."""
    answers = [item("a", [f"{place}"], scores=[1.0 * place]) for place in range(MOST_RANKED + 1)]

    assert converted(answers, rule("answers_to_rankings"))[1].left == Counter(crowd=MOST_RANKED + 1)
    assert len(converted(answers[1:], rule("answers_to_rankings"))[0]) == 1


CONTRARY: list[tuple[list[Item], dict[str, Any], list[list[str]], int]] = [
    ([item("p", ["A", "B"], 1), item("p", ["B", "C"], 1)], {"name": "pairs_to_thumbs"}, [["A"], ["C"]], 2),
    ([item("p", ["A", "B", "A"], scores=[5.0, 3.0, 1.0])], {"name": "rankings_to_thumbs", "threshold": 3}, [["B"]], 2),
    (
        [item("p", ["A", "B", "C"], ranks=[1.0, 2.0, 3.0]), item("p", ["C", "B", "A"], ranks=[2.0, 1.0, 3.0])],
        {"name": "rankings_to_pairs", "meet": "all"},
        [["B", "C"]],
        4,
    ),
]


@pytest.mark.parametrize(
    ("items", "fields", "kept", "contradicting"), CONTRARY, ids=["thumbs", "one ranking", "two rankings"]
)
def test_what_contradicts_another_is_left_out_whatever_comes_first(
    items: list[Item], fields: dict[str, Any], kept: list[list[str]], contradicting: int
) -> None:
    """Of one content that is said to be wanted and not, or the better and the worse, nothing is made; it is counted,
    and no order of the items settles it."""
    for order in (items, items[::-1]):
        made, counted = converted(order, rule(**fields))

        assert (sorted(texts(made)), counted.contradicting, counted.made) == (kept, contradicting, len(kept))
        assert counted.sentences()[0] == f"{contradicting} contradict another of the same content; left out."


def test_what_says_the_same_again_is_a_double() -> None:
    """Two pairs with one better side give one wanted answer, and a double that nobody need look at."""
    _, counted = converted([item("p", ["A", "B"], 1), item("p", ["A", "C"], 2)], rule("pairs_to_thumbs"))

    assert (counted.made, counted.doubled, counted.contradicting) == (3, 1, 0)


def test_no_more_is_looked_at_than_was_asked_for() -> None:
    """At the limit the rest is not even made; what was counted until then is told, and that there is more."""
    ranking = item("p", [f"{place}" for place in range(1_000)], ranks=[1.0 * place for place in range(1_000)])

    found = Found(itertools.repeat(ranking), rule("rankings_to_pairs", meet="all"), 50)

    assert (found.counted.made, found.counted.more, found.counted.items) == (50, True, 1)
    assert not Found([ranking], rule("rankings_to_pairs"), 1).counted.more


def test_scored_pairs_are_decided_by_their_scores() -> None:
    """Whatever labels say; a pair whose scores are too close is left out."""
    pairs = [item(f"{gap}", ["one", "two"], 3, scores=[0.0, gap], margin=2.0) for gap in (0.0, 0.5, 2.0)]

    made, counted = converted(pairs, rule("pairs_by_scores", margin=1))

    assert (texts(made), made[0].facts) == ([["two", "one"]], {"scores": [2.0, 0.0]})
    assert counted.left == Counter(too_close=2)


def test_scored_answers_become_rankings() -> None:
    """Answers to one prompt in the order of their scores, with ranks that tie where scores do."""
    answers = [item("a", [text], scores=[score]) for text, score in (("x", 1.0), ("y", 3.0), ("z", 1.0))]

    made, counted = converted([*answers, item("b", ["alone"], scores=[2.0])], rule("answers_to_rankings"))

    assert (texts(made), made[0].facts["ranks"]) == ([["y", "x", "z"]], [1.0, 2.0, 2.0])
    assert counted.left == Counter(alone=1)


def test_answers_stand_beside_copies_that_lack_their_longest_words() -> None:
    """A third, two thirds and all of the share is gone, the longest words first and of equal ones the earlier; what is
    left stays in order, and each pair says how much was taken from which side."""
    said = "the lighthouse stands on a rocky island near our harbor town"
    answers = [
        item("a", [said], scores=[2.0], weight=0.5),
        item("b", ["too few words"]),
        item("c", ["two  lines\n" * 6]),
    ]

    made, counted = converted(answers, rule("answers_to_degraded", share=0.55))

    assert texts(made)[:3] == [
        [said, "the on a rocky island near our harbor town"],
        [said, "the on a rocky near our town"],
        [said, "the on a our town"],
    ]
    assert [one.facts for one in made[:3]] == [
        {"weight": 0.5, "aspects": [{"removed": 0.0}, {"removed": degree}]} for degree in (1.0, 2.0, 3.0)
    ]
    assert all(one.labels[0].value == {"strength": 1} for one in made)
    assert texts(made)[3][1] == "two  " * 2 + "two  lines\n" * 3 + "two  lines"
    assert counted.left == Counter(few_words=1)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("answers_to_degraded", {"share": 1}),
        ("answers_to_degraded", {"share": 0}),
        ("pairs_to_thumbs", {"margin": 1}),
        ("pairs_to_thumbs", {"min_votes": 0}),
        ("rankings_to_pairs", {"meet": "some"}),
        ("rankings_to_pairs", {"margin": -1}),
        ("rankings_to_pairs", {"margin": float("nan")}),
        ("rankings_to_pairs", {"seed": 2**40}),
        ("rankings_to_thumbs", {}),
        ("rankings_to_thumbs", {"threshold": float("inf")}),
        ("nonsense", {}),
    ],
)
def test_a_rule_that_means_nothing_is_refused(name: str, fields: dict[str, Any]) -> None:
    """An unknown rule, an option of another one, and values out of bounds are refused, never passed over."""
    with pytest.raises(ValidationError):
        rule(name, **fields)
