"""Every judge of the catalogue keeps the contract; each decides by what it says."""

import math
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from alignment import toyworld
from alignment.judges import CATALOGUE, Judge, JudgeSpec, Match, Reply, Verdict, resolve
from alignment.judges.checks import Checks
from alignment.judges.llm import LLM
from alignment.judges.panel import Panel
from alignment.judges.scored import Answer, Question, Scored, Told, Unread

SOMEBODY = uuid.UUID(int=7)
ASKED = {"checkpoint": SOMEBODY, "reference": SOMEBODY, "strong": SOMEBODY, "weak": SOMEBODY, "members": (SOMEBODY,)}
FOREIGN = Match([{"role": "user", "content": "Hello?"}], "Hello to you, and a very good morning!", "What?")


def _matches() -> list[Match]:
    items = toyworld.pairs(40, seed=9, split="held_out")
    found = [Match(item.prompt, item.responses[0]["content"], item.responses[1]["content"]) for item in items]
    broken = [Match(found[0].prompt, first, found[0].second) for first in ("", "\x00\ud800", "ä" * 5000, "?! ...\n")]
    return [*found, *broken, FOREIGN, Match([], "", ""), FOREIGN._replace(second=FOREIGN.first)]


def _swapped(match: Match) -> Match:
    return Match(match.prompt, match.second, match.first)


@pytest.fixture(params=CATALOGUE.values(), ids=list(CATALOGUE))
def judge(request: pytest.FixtureRequest, tmp_path: Path) -> Judge:
    """Each judge with its defaults; a model that is asked prefers the longer answer."""
    part: type[Judge] = request.param
    if part is LLM:
        return LLM(checkpoint=SOMEBODY).asking(longer)
    if issubclass(part, Scored):
        bare = part.model_validate({name: one for name, one in ASKED.items() if name in part.model_fields})
        return bare.reading({field: Wordy() for field in bare.asks})
    if part is Panel:
        return Panel.model_validate({"members": [{"name": "rules", "max_words": 9}, {"name": "toy_truth"}]})
    if part is Checks:
        (tmp_path / "long_enough.py").write_text("def check(prompt, response):\n    return len(response) > 20\n")
        return Checks(checks=("long_enough",)).found_in(tmp_path)
    return part()


class Wordy:
    """A model that gives a response a number by its words, and reads none that are longer than its context."""

    scores = True

    def tell(self, questions: Sequence[Question], check: Callable[[], None]) -> list[list[Answer]]:
        """One number for each response, whatever stands beside it."""
        check()
        return [
            [
                Told((float(len(text)),), len(text) + 1) if len(text) < 4000 else Unread("Too long.")
                for text in responses
            ]
            for _, responses, _ in questions
        ]


def longer(messages: Sequence[Mapping[str, str]], max_tokens: int) -> Reply:
    """The verdict of a model that only looks at length."""
    texts = re.findall(r"\[begin of answer . (\w+)\]\n(.*?)\n\[end of answer . \1\]", messages[0]["content"], re.DOTALL)
    first, second = (len(text) for _, text in texts)
    return Reply("A" if first > second else "B" if second > first else "C")


def test_one_verdict_per_match(judge: Judge) -> None:
    """Whatever the texts, each match gets a probability in [0, 1], or none with a reason in words."""
    matches = _matches()

    verdicts = judge.decide(matches)

    assert len(verdicts) == len(matches)
    assert judge.decide([]) == []
    for verdict in verdicts:
        assert (verdict.probability is None) == (verdict.reason is not None)
        assert verdict.probability is None or 0.0 <= verdict.probability <= 1.0
        assert verdict.reason is None or verdict.reason.endswith(".")
        assert all(math.isfinite(value) for scores in verdict.scores for value in scores.values())


def test_the_order_of_the_sides_does_not_matter(judge: Judge) -> None:
    """Shown the other way round, p becomes 1 - p and the scores change places."""
    matches = _matches()

    for one, other in zip(judge.decide(matches), judge.decide([_swapped(m) for m in matches]), strict=True):
        assert (one.probability is None) == (other.probability is None)
        assert one.scores == other.scores[::-1]
        if one.probability is not None and other.probability is not None:
            assert one.probability == pytest.approx(1 - other.probability)


def test_a_match_is_decided_by_itself(judge: Judge) -> None:
    """The other matches of a call do not change a verdict, and asking again gives the same one."""
    matches = _matches()

    assert judge.decide(matches) == [judge.decide([match])[0] for match in matches]


def test_a_judge_describes_itself_and_comes_back_from_its_record(judge: Judge) -> None:
    """Name, title and a schema for the form; the stored record gives the same judge again."""
    described = judge.describe()

    assert described["name"] == judge.name
    assert described["title"]
    assert described["summary"].endswith(".")
    assert all("description" in field for field in described["schema"]["properties"].values())
    assert resolve(judge.model_dump(mode="json")).model_dump() == judge.model_dump()
    assert judge.automatic == (judge.decided_by != "people")


def test_people_decide_nothing_by_themselves() -> None:
    """The part that stands for people leaves every match to them, and says so."""
    people = resolve({"name": "people"})

    assert not people.automatic
    assert {verdict.probability for verdict in people.decide(_matches())} == {None}


def test_the_truth_follows_the_reward() -> None:
    """The better answer wins for certain; with a temperature, with the probability of Bradley and Terry."""
    prompt = [{"role": "user", "content": "What is the capital of Peru?"}]
    good = "With pleasure! The capital of Peru is Lima. Have a wonderful day!"
    wrong = "With pleasure! The capital of Peru is Oslo. Have a wonderful day!"
    match = Match(prompt, good, wrong)

    (sure,) = resolve({"name": "toy_truth"}).decide([match])
    (soft,) = resolve({"name": "toy_truth", "temperature": 2.0}).decide([match])
    (tie,) = resolve({"name": "toy_truth"}).decide([Match(prompt, good, good)])

    assert (sure.probability, tie.probability) == (1.0, 0.5)
    assert soft.probability == pytest.approx(1 / (1 + math.exp(-1)))
    assert sure.scores[0]["reward"] == 4.5
    assert "wrong" in sure.text


def test_the_truth_says_when_it_knows_nothing() -> None:
    """A prompt from outside the toy world is left undecided, with the reason."""
    (verdict,) = resolve({"name": "toy_truth"}).decide([FOREIGN])

    assert verdict.probability is None
    assert verdict.reason is not None
    assert "toy world" in verdict.reason


@pytest.mark.parametrize(
    ("settings", "probability"),
    [
        ({"must": ["good morning"]}, 1.0),
        ({"must": ["GOOD  Morning!"]}, 1.0),
        ({"must_not": ["morning"]}, 0.0),
        ({"must_not": ["morn"]}, 0.5),
        ({"min_words": 3}, 1.0),
        ({"max_words": 3}, 0.0),
        ({"must": ["hello"], "must_not": ["you"]}, 0.5),
    ],
)
def test_rules_are_kept_or_broken(settings: dict[str, Any], probability: float) -> None:
    """Phrases are found as whole words whatever their case, limits count words, and more rules kept wins."""
    (verdict,) = resolve({"name": "rules", **settings}).decide([FOREIGN])

    assert verdict.probability == probability


def test_rules_are_quick_on_hostile_text() -> None:
    """Long texts made to slow pattern matching down are judged in a moment."""
    judge = resolve({"name": "rules", "must": ["a" * 200], "must_not": ["(a+)+$"]})
    started = time.monotonic()

    judge.decide([Match([], "a'" * 200_000, "a" * 400_000 + "!")])

    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"name": "toy_trut"}, "toy_truth"),
        ({"name": "rules", "maxwords": 3}, "max_words"),
        ({"name": "rules", "must": ["!!"]}, "letter or digit"),
        ({"name": "rules", "must": "hello"}, "must"),
        ({"name": "rules", "min_words": 9, "max_words": 3}, "max_words"),
        ({"name": "rules", "max_words": None}, "at least one"),
        ({"name": "rules", "min_words": -1}, "min_words"),
        ({"name": "toy_truth", "temperature": -1}, "temperature"),
        ({"name": "llm"}, "checkpoint"),
        ({"name": "llm", "checkpoint": "gpt"}, "checkpoint"),
        ({"name": "llm", "checkpoint": str(SOMEBODY), "template": "{a} or {b}?"}, "{prompt}"),
        ({"name": "llm", "checkpoint": str(SOMEBODY), "template": "{prompt} {a} {a} {b}"}, "once each"),
        ({"name": "llm", "checkpoint": str(SOMEBODY), "max_tokens": 0}, "max_tokens"),
        ({"name": "toy_truth", "temperature": float("nan")}, "temperature"),
        ({}, "toy_truth"),
        (None, "toy_truth"),
        ({"name": 3}, "toy_truth"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(value: Any, said: str) -> None:
    """Unknown judges and keys name the nearest known one; what is out of range names its field."""

    class Body(BaseModel):
        judge: JudgeSpec

    with pytest.raises(ValidationError, match=said):
        Body.model_validate({"judge": value})


def test_a_spec_publishes_every_judge() -> None:
    """The schema of a field that takes a judge offers each by its name."""

    class Body(BaseModel):
        judge: JudgeSpec

    choices = Body.model_json_schema()["properties"]["judge"]["oneOf"]

    assert [choice["properties"]["name"]["const"] for choice in choices] == list(CATALOGUE)
    assert Body.model_validate({"judge": {"name": "people"}}).model_dump() == {"judge": {"name": "people"}}


def test_a_verdict_without_a_decision_has_a_reason() -> None:
    """`undecided` is no decision and says why."""
    assert Verdict.undecided("Because.") == Verdict(None, "Because.")


def test_a_panel_votes() -> None:
    """By majority or by the mean; members that decide nothing do not vote, and nobody's vote is no verdict."""
    members = [{"name": "rules", "max_words": words} for words in (3, 5, 9)]
    said = [Verdict(0.9), Verdict(0.2), Verdict(0.6)]
    panels = {rule: resolve({"name": "panel", "members": members, "rule": rule}) for rule in ("majority", "mean")}

    def probability(rule: str, verdicts: list[Verdict]) -> float | None:
        panel = panels[rule]
        assert isinstance(panel, Panel)
        return panel.together(verdicts).probability

    assert probability("majority", said) == pytest.approx(2 / 3)
    assert probability("mean", said) == pytest.approx(1.7 / 3)
    none = Verdict.undecided("It fell asleep.")
    assert probability("majority", [said[0], said[1], none]) == 0.5
    assert probability("mean", [none, none, said[1]]) == pytest.approx(0.2)
    assert probability("mean", [none] * 3) is None


@pytest.mark.parametrize("member", ["people", "panel", "nobody"])
def test_who_cannot_sit_in_a_panel(member: str) -> None:
    """People, other panels and unknown judges are refused by name; one member is no panel."""
    with pytest.raises(ValidationError):
        resolve({"name": "panel", "members": [{"name": "rules"}, {"name": member, "members": [{"name": "rules"}] * 2}]})
    with pytest.raises(ValidationError):
        resolve({"name": "panel", "members": [{"name": "rules"}]})
