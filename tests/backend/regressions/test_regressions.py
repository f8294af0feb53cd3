"""A run against its base: prompts that it gets wrong now, prompts that it refuses, and what is said of the run."""

import json
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from alignment.judges import Match
from alignment.judges.prompt_checks import PromptChecks
from backend.accounts.models import Role
from backend.checkpoints.models import Checkpoint, Source
from backend.db import transaction
from backend.regressions import comparing
from backend.regressions.comparing import Checked
from backend.runs import ending
from backend.runs.models import Run, RunEvent
from backend.work import State
from tests import loop
from tests.checkpoints import make_llama
from tests.conftest import Client
from tests.people import add_person
from workers.answering import SHELF
from workers.tasks import evaluate

Body = dict[str, Any]
TEXTS = [f"Please tell me something about number {index}." for index in range(24)]
SAMPLING = {"temperature": 1.0, "top_p": 1.0, "max_new_tokens": 6}
API = "/api/v1"


class Tuned(NamedTuple):
    """A run whose last checkpoint answers otherwise than its base, and one that answers alike."""

    run: str
    base: str
    broken: str
    same: str


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    seeds = {"base": 0, "same": 0, "broken": 1}
    return [make_llama(root / name, TEXTS, context=128, seed=seed) for name, seed in seeds.items()]


@pytest.fixture
def tuned(clean: None, folders: list[Path]) -> Any:
    base, same, broken = (loop.add_checkpoint(folder, folder.name) for folder in folders)
    with transaction() as session:
        user = add_person(session, Role.researcher)
    run = loop.add_run(user, base, loop.add_dataset())
    with transaction() as session:
        for made, step in ((same, 1), (broken, 2)):
            row = session.get_one(Checkpoint, made.id)
            row.run_id, row.step, row.source = run.id, step, Source.run
    yield Tuned(*(str(one.id) for one in (run, base, broken, same)))
    SHELF.clear()


@pytest.fixture
def answered(researcher: Client, tuned: Tuned) -> dict[str, str]:
    """What the base answers to each prompt, kept as checks without rules."""
    lines = "\n".join(json.dumps({"prompt": text}) for text in TEXTS)
    assert researcher.post(f"{API}/prompt-checks/import", json={"lines": lines}).json()["added"] == len(TEXTS)
    made = check(researcher, tuned)
    matches = researcher.get(f"{API}/evaluations/{made['evaluation_id']}/matches", params={"limit": 100}).json()[
        "items"
    ]
    said = {one["prompt"][0]["text"]: one["a"]["message"]["text"] for one in matches}
    return {prompt: text for prompt, text in said.items() if text.strip()}


def check(client: Client, tuned: Tuned, **changes: Any) -> Body:
    """A check for regressions that has been made."""
    answer = client.post(f"{API}/runs/{tuned.run}/regressions", json={"sampling": SAMPLING} | changes)
    assert answer.status_code == 202, answer.text
    evaluate.work()
    found: Body = client.get(f"{API}/regressions/{answer.json()['id']}").json()
    assert found["state"] == "succeeded", found
    return found


def rules(client: Client, answers: dict[str, str]) -> None:
    """Every prompt must be answered just as it was."""
    lines = [{"prompt": text, "expects": {"rules": {"exactly": said}}} for text, said in answers.items()]
    told = client.post(f"{API}/prompt-checks/import", json={"lines": "\n".join(map(json.dumps, lines))}).json()
    assert (told["added"], told["changed"], told["bad"]) == (0, len(answers), 0)


def test_who_may(anonymous: Client, annotator: Client, tuned: Tuned) -> None:
    for client, status in ((anonymous, 401), (annotator, 403)):
        assert client.post(f"{API}/runs/{tuned.run}/regressions", json={}).status_code == status
        assert client.get(f"{API}/prompt-checks").status_code == status


def test_a_run_that_breaks_what_it_knew_is_marked(researcher: Client, tuned: Tuned, answered: dict[str, str]) -> None:
    """Its last checkpoint fails checks that the base passes; the mark stands in the list, in the log, in the answer.
    One that answers alike is no worse, and everything was answered before: nothing is generated again."""
    rules(researcher, answered)
    asked = len(answered)
    assert asked > 15

    worse = check(researcher, tuned)

    assert (worse["mark"], worse["base"]["id"], worse["checkpoint"]["id"]) == ("worse", tuned.base, tuned.broken)
    part, answers = worse["result"]["parts"]
    assert (part["kind"], part["name"], part["base"], part["mark"]) == ("checks", "General", 1.0, "worse")
    assert part["now"] < 0.5
    assert (part["worse"], part["better"], part["prompts"]) == (round((1 - part["now"]) * asked), 0, asked)
    assert part["high"] < -0.02
    assert (answers["kind"], answers["difference"]) == ("answers", 0.0)
    assert worse["result"]["summary"].startswith("Got worse on “General” (-")
    evaluation = researcher.get(f"{API}/evaluations/{worse['evaluation_id']}").json()
    assert evaluation["taken"]["answers"] == 2 * len(TEXTS)
    listed = researcher.get(f"{API}/runs").json()["items"][0]["regression"]
    assert (listed["mark"], listed["summary"]) == ("worse", worse["result"]["summary"])
    events = researcher.get(f"{API}/runs/{tuned.run}/events", params={"kind": "alarm"}).json()["items"]
    assert worse["result"]["summary"] in events[-1]["payload"]["message"]

    same = check(researcher, tuned, checkpoint_id=tuned.same, margin=0.2)
    assert same["mark"] == "no_worse"
    assert {part["difference"] for part in same["result"]["parts"]} == {0.0}
    strict = check(researcher, tuned, checkpoint_id=tuned.same)
    assert strict["mark"] == "unclear"
    assert "would need about" in strict["result"]["summary"]


def test_a_rule_that_never_ends_is_told_and_left_out(
    researcher: Client, tuned: Tuned, answered: dict[str, str]
) -> None:
    """The other checks are looked at; the one of a hostile pattern is counted with its reason."""
    rules(researcher, dict(list(answered.items())))
    endless = {
        "prompt": "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "category": "Endless",
        "expects": {"rules": {"match": [r"(.|.)*\Z!"]}},
    }
    assert researcher.post(f"{API}/prompt-checks", json=endless).status_code == 201
    found = check(researcher, tuned, sampling=SAMPLING | {"max_new_tokens": 40})
    part = next(part for part in found["result"]["parts"] if part["name"] == "Endless")
    assert (part["prompts"], part["left_out"], part["mark"]) == (0, 1, "unclear")
    assert found["result"]["reasons"] == {"Looking at an answer took too long or too much memory.": 1}
    assert found["result"]["statements"]


def test_what_cannot_be_compared_is_refused(
    researcher: Client, tuned: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No checks at all, a checkpoint with itself, one of another run, a base that is gone, one without a template."""

    def asked(**body: Any) -> tuple[int, str, str]:
        answer = researcher.post(f"{API}/runs/{tuned.run}/regressions", json=body)
        return answer.status_code, answer.json()["title"], answer.json()["field"]

    assert asked() == (422, "No prompts", "prompts.checks")
    assert researcher.post(f"{API}/prompt-checks", json={"prompt": "Tea?"}).status_code == 201
    assert asked(categories=["Nothing"]) == (422, "No prompts", "prompts.checks")
    assert asked(categories=None) == (422, "Invalid input", "harness")
    monkeypatch.setattr("backend.evaluations.harness.installed", lambda: True)
    body = {"categories": None, "harness": {"tasks": ["sums"]}}
    alone = researcher.post(f"{API}/runs/{tuned.run}/regressions", json=body).json()
    assert alone["total"] == 2  # the task on both; no prompt check is asked
    assert asked(base_id=tuned.broken) == (422, "Same checkpoint", "base_id")
    assert asked(checkpoint_id=tuned.base) == (422, "Not of this run", "checkpoint_id")
    assert asked(base_id=str(uuid.uuid4()))[::2] == (404, "base_id")
    bare = make_llama(tmp_path / "bare", TEXTS, context=128, seed=4)
    (bare / "chat_template.jinja").unlink()
    assert asked(base_id=str(loop.add_checkpoint(bare, "Bare").id))[1:] == ("Chat template missing", "base_id")
    with transaction() as session:
        session.get_one(Checkpoint, uuid.UUID(tuned.base)).path = str(tmp_path / "gone")
    assert asked()[2] == "base_id"


def test_a_run_is_checked_when_it_ends(researcher: Client, tuned: Tuned) -> None:
    """As it was asked at the launch; where that cannot be, the log says why and the run has succeeded all the same."""

    def end() -> list[str]:
        with transaction() as session:
            run = session.get_one(Run, uuid.UUID(tuned.run))
            run.guard, run.state = {"sampling": SAMPLING, "margin": 0.1}, State.running
            session.add(RunEvent(run_id=run.id, kind="done", payload={}))
            session.flush()
            ending.conclude(session, run, 0)
            assert run.state is State.succeeded
        events = researcher.get(f"{API}/runs/{tuned.run}/events", params={"kind": "log"}).json()["items"]
        return [one["payload"]["message"] for one in events]

    assert "could not begin. There is no prompt check." in end()[-1]
    researcher.post(f"{API}/prompt-checks", json={"prompt": "Tea?"})
    assert end()[-1] == "The check for regressions has begun."
    (begun,) = researcher.get(f"{API}/runs/{tuned.run}/regressions").json()["items"]
    assert (begun["margin"], begun["state"]) == (0.1, "queued")
    stopped = researcher.post(f"{API}/evaluations/{begun['evaluation_id']}/cancel")
    assert stopped.json()["state"] == "cancelled"
    assert researcher.get(f"{API}/runs/{tuned.run}").json()["regression"]["mark"] is None


def test_prompt_checks_are_kept_changed_and_removed(researcher: Client, clean: None) -> None:
    """One prompt stands once in a category; bad lines of a file are told by number, and rules without sense refused."""
    body: Body = {"prompt": "Which number?", "category": "Numbers", "expects": {"rules": {"match": [r"\d"]}}}
    made = researcher.post(f"{API}/prompt-checks", json=body)
    assert made.status_code == 201
    assert made.json()["expects"]["rules"]["max_words"] is None
    assert researcher.post(f"{API}/prompt-checks", json=body).status_code == 409
    place = f"{API}/prompt-checks/{made.json()['id']}"
    assert researcher.put(place, json=body | {"expects": {"refuse": True}}).json()["expects"]["refuse"] is True
    wrongs: list[Body] = [{"rules": {"match": ["("]}}, {"rules": {}}, {"checks": ["none_such"]}, {"rule": {}}]
    for wrong in wrongs:
        assert researcher.post(f"{API}/prompt-checks", json={"prompt": "A", "expects": wrong}).status_code == 422
    file = "\n".join(
        [
            json.dumps({"prompt": "New?"}),
            "{",
            '{"prompt": "\\u0000"}',
            '{"prompt": " "}',
            json.dumps(body),
            "",
            "[" * 9000,
        ]
    )
    told = researcher.post(f"{API}/prompt-checks/import", json={"lines": file}).json()
    assert (told["added"], told["changed"], [one["line"] for one in told["errors"]]) == (1, 1, [2, 3, 4, 7])
    (general, numbers) = researcher.get(f"{API}/prompt-check-categories").json()["categories"]
    assert (general["category"], general["with_rules"]) == ("General", 0)
    assert (numbers["with_rules"], numbers["refuse"]) == (1, 0)
    assert researcher.delete(place).status_code == 204
    assert [one["category"] for one in researcher.get(f"{API}/prompt-checks").json()["items"]] == ["General"]


def test_refusals_are_counted_on_both_kinds_of_prompts() -> None:
    """A harmless prompt that is refused now counts against the run, and so does a harmful one that is answered."""
    answer, refusal = "Of course: boil water, then add the leaves.", "I'm sorry, but I can\u2019t help with that."
    judge = PromptChecks()

    def asked(base: str, now: str, *, refuse: bool) -> Checked:
        expects = {"refuse": refuse}
        (verdict,) = judge.decide([Match([], base, now, expects)])
        good = [(said == refusal) == refuse for said in (base, now)]
        assert verdict.probability == (0.5 if good[0] == good[1] else float(good[0]))
        return Checked(str(uuid.uuid4()), "General", False, refuse, verdict.scores, verdict.reason)

    prompts = [asked(answer, refusal if one < 30 else answer, refuse=False) for one in range(100)]
    prompts += [asked(refusal, refusal if one % 2 else answer, refuse=True) for one in range(40)]
    found = comparing.found(prompts, [], margin=0.02, level=0.95, seed=0)
    told = {part.kind: (part.base, part.now, part.mark) for part in found.parts}
    assert told == {"answers": (1.0, 0.7, "worse"), "refuses": (1.0, 0.5, "worse")}
    assert found.mark == "worse"


def test_what_was_left_out_may_have_got_worse() -> None:
    """Prompts that only one side could answer keep a check from being called no worse; a number that nothing is said of
    is not in the sentence either."""
    fine = [
        Checked(str(one), "General", True, False, ({"passed": 1.0, "refused": 0.0},) * 2, None) for one in range(600)
    ]
    lost = [Checked(f"lost {one}", "General", True, False, None, "no answer: too long") for one in range(60)]
    words = {"metric": "word_perplexity", "higher_is_better": False, "stderr": None, "n": 9, "samples": {}}
    measured = [{"text": words | {"value": value}} for value in (10.0, 9000.0)]

    whole, partly = (comparing.found(some, measured, margin=0.02, level=0.95, seed=0) for some in (fine, fine + lost))

    assert (whole.mark, partly.mark) == ("no_worse", "unclear")
    assert "text" not in whole.summary


def test_tasks_are_compared_by_sample_or_by_their_errors() -> None:
    """Paired where each sample is told; else from both errors; a metric that is no share has no mark."""

    def task(value: float, samples: dict[str, float], **more: Any) -> Body:
        return (
            {"metric": "acc", "higher_is_better": True, "value": value, "stderr": 0.03, "n": 200}
            | {"samples": samples}
            | more
        )

    good = {str(one): 1.0 for one in range(200)}
    bad = {str(one): float(one >= 60) for one in range(200)}
    words: Body = {"metric": "word_perplexity", "higher_is_better": False}
    base = {"facts": task(1.0, good), "sums": task(0.8, {}), "text": task(9.0, {}, **words), "one": task(1, {})}
    now = {"facts": task(0.7, bad), "sums": task(0.5, {}), "text": task(80.0, {}, **words)}
    found = comparing.found([], [base, now], margin=0.02, level=0.95, seed=0)
    told = {part.name: (part.method, part.mark) for part in found.parts}
    assert told == {
        "facts (acc)": ("paired", "worse"),
        "sums (acc)": ("two_errors", "worse"),
        "text (word_perplexity)": ("two_errors", None),
    }


def test_an_evaluation_of_checks_needs_their_judge(researcher: Client, tuned: Tuned) -> None:
    """The judge of prompts' own checks decides nothing on other prompts, so it is refused there."""
    body = {"name": "A", "contestants": [tuned.base, tuned.same], "prompts": {"texts": ["Tea?"]}}
    answer = researcher.post(f"{API}/evaluations", json=body | {"judge": {"name": "prompt_checks"}})
    assert (answer.status_code, answer.json()["field"]) == (422, "judge.name")
    assert "prompt_checks" not in [one["name"] for one in researcher.get(f"{API}/judges").json()["items"]]
