"""Patterns, schemas and checks are looked at apart: what is right, and what cannot hang or break who asks."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from alignment.checking import CHECKER, GIVEN_UP, MOST_STOPS, TOO_LONG
from alignment.judges import Match, Verdict, resolve
from alignment.judges.checks import Checks, installed
from alignment.judges.rules import Rules

PROMPT = [{"role": "user", "content": "Give me JSON."}]
SCHEMA = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "pattern": "^[a-z]+$"}}}
HOSTILE = "(a+)+$"
ENDLESS = "a" * 40 + "!"


def judged(spec: dict[str, Any], *matches: tuple[str, str]) -> list[Verdict]:
    judge = resolve({"name": "rules", "max_words": None, **spec})
    return judge.decide([Match(PROMPT, *texts) for texts in matches])


@pytest.mark.parametrize(
    ("spec", "wins", "loses"),
    [
        ({"match": [r"(?i)^yes\b"]}, "Yes, sir", "No, yes"),
        ({"match_not": [r"\d, \d"]}, "1,2", "1, 2"),
        ({"form": "json"}, '{"a": [1]}', "```json\n{}\n```"),
        ({"form": "json"}, "3", "NaN"),
        ({"json_schema": json.dumps(SCHEMA)}, '{"name": "ada"}', '{"name": "Ada"}'),
        ({"json_schema": '{"$ref": "#/$defs/n", "$defs": {"n": {"type": "number"}}}'}, "3", '"3"'),
    ],
)
def test_patterns_and_json(spec: dict[str, Any], wins: str, loses: str) -> None:
    """What keeps more rules wins, whichever side it is on; the words name the rule that is broken."""
    one, other, tie = judged(spec, (wins, loses), (loses, wins), (wins, wins))

    assert (one.probability, other.probability, tie.probability) == (1.0, 0.0, 0.5)
    assert "Second breaks: " in one.text


def test_a_hostile_pattern_hangs_nobody() -> None:
    """What does not come to an end is stopped and undecided; the others are decided, until it is too often."""
    fine, stopped = ("aa", "b"), (ENDLESS, "b")
    some = judged({"match": [HOSTILE]}, fine, stopped, fine)
    many = judged({"match": [HOSTILE]}, *[(ENDLESS + str(number), "b") for number in range(50)])

    assert [one.probability for one in some] == [1.0, None, 1.0]
    assert some[1].reason == TOO_LONG
    assert {one.reason for one in many} == {TOO_LONG, GIVEN_UP}
    assert sum(one.reason == TOO_LONG for one in many) <= MOST_STOPS


def test_a_schema_fetches_nothing_and_hangs_nobody() -> None:
    """References lead nowhere, patterns in a schema are limited too, and deep JSON is no crash."""
    (far,) = judged({"json_schema": '{"$ref": "http://127.0.0.1:9/schema"}'}, ("{}", "[]"))
    (slow,) = judged({"json_schema": json.dumps({"pattern": HOSTILE})}, (json.dumps(ENDLESS), "1"))
    (deep,) = judged({"form": "json"}, ("[" * 100_000, "[]"))

    assert far.probability is None
    assert slow.reason == TOO_LONG
    assert deep.probability == 0.0


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"match": ["(" * 3]}, "match"),
        ({"match": ["a" * 501]}, "match"),
        ({"match_not": [""]}, "match_not"),
        ({"json_schema": "[]"}, "json_schema"),
        ({"json_schema": "{"}, "json_schema"),
        ({"form": "xml"}, "form"),
    ],
)
def test_what_is_no_rule(spec: dict[str, Any], field: str) -> None:
    """A broken pattern or schema is refused at its field, before anything is judged."""
    with pytest.raises(ValidationError) as caught:
        Rules.model_validate(spec)
    assert caught.value.errors()[0]["loc"][0] == field


FILES = {
    "polite": "def check(prompt, response):\n    print('noise')\n    return 'please' in response",
    "score": "def check(prompt, response):\n    return len(prompt) + len(response) / 10",
    "broken": "def check(prompt, response):\n    return 1 / 0",
    "greedy": "def check(prompt, response):\n    return len('x' * (1 << 40))",
    "leaves": "import os\ndef check(prompt, response):\n    os._exit(0)",
    "nothing": "",
    "Bad-Name": "def check(prompt, response):\n    return 1",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of installed checks."""
    for name, text in FILES.items():
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


def test_installed_checks(folder: Path) -> None:
    """The higher sum wins, with each check's value; what they print is no answer."""
    judge = Checks(checks=("polite", "score")).found_in(folder)
    (verdict,) = judge.decide([Match(PROMPT, "please", "now, do it")])

    assert verdict.probability == 1.0
    assert [dict(one) for one in verdict.scores] == [{"polite": 1.0, "score": 1.6}, {"polite": 0.0, "score": 2.0}]
    assert installed(folder) == sorted(set(FILES) - {"Bad-Name"})
    assert installed(None) == installed(folder / "none") == []


def test_checks_that_fail(folder: Path) -> None:
    """Errors, too much memory, an end of the process, no function, a file that is not there: undecided, and why."""
    for name, words in (
        ("broken", "The check “broken” failed on an answer (ZeroDivisionError)."),
        ("greedy", TOO_LONG),
        ("leaves", TOO_LONG),
        ("nothing", "cannot be used (AttributeError)"),
        ("missing", "cannot be used (FileNotFoundError)"),
    ):
        (verdict,) = Checks(checks=(name,)).found_in(folder).decide([Match(PROMPT, "a", "b")])
        assert verdict.probability is None
        assert words in str(verdict.reason)
    (verdict,) = Checks(checks=("score",)).decide([Match(PROMPT, "a", "b")])
    assert verdict.reason == "No checks are installed here."


@pytest.mark.parametrize("name", ["../polite", "/etc/passwd", "Polite", "a.b", "", "a" * 65])
def test_names_lead_nowhere_else(name: str) -> None:
    """A check is named, never given: no path, no dots, no code."""
    with pytest.raises(ValidationError):
        Checks.model_validate({"checks": [name]})
    with pytest.raises(ValidationError):
        Checks.model_validate({"checks": ["ok"], "folder": "/tmp"})


def teardown_module() -> None:
    """End the process that looked at texts."""
    CHECKER.close()
