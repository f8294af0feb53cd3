"""Evaluations through the API: who may, what is refused, what a worker makes of them, what the report says."""

import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alignment.toyworld import prompts
from backend.db import transaction
from backend.evaluations import progress, service
from backend.evaluations.models import Evaluation, Match, Verdict
from backend.work import State, finish
from tests.backend.evaluations.conftest import NAMES, TEXTS, Body
from tests.conftest import Client
from workers import shutdown
from workers.tasks import evaluate

NOBODY = uuid.UUID(int=1)  # the names of tests must be the same in every process that collects them
ROUTES = [
    ("GET", "/judges"),
    ("POST", "/evaluations/preflight"),
    ("POST", "/evaluations"),
    ("GET", "/evaluations"),
    ("GET", f"/evaluations/{NOBODY}"),
    ("GET", f"/evaluations/{NOBODY}/report"),
    ("GET", f"/evaluations/{NOBODY}/meters"),
    ("GET", f"/evaluations/{NOBODY}/matches"),
    ("GET", f"/evaluations/{NOBODY}/judge"),
    ("POST", f"/evaluations/{NOBODY}/cancel"),
    ("POST", "/matches/export"),
]
OPEN = [
    ("POST", f"/evaluations/{NOBODY}/cards"),
    ("POST", f"/matches/{NOBODY}/verdicts"),
    ("POST", f"/verdicts/{NOBODY}/undo"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES + OPEN)
def test_signed_out(anonymous: Client, method: str, path: str) -> None:
    """Nothing about evaluations is told to somebody who is signed out."""
    assert anonymous.request(method, f"/api/v1{path}", json={}).status_code == 401


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_annotators_may_not(annotator: Client, method: str, path: str) -> None:
    """Annotators judge; they neither launch nor read evaluations."""
    assert annotator.request(method, f"/api/v1{path}", json={}).status_code == 403


@pytest.mark.parametrize(("method", "path"), ROUTES[4:10])
def test_unknown_is_not_found(researcher: Client, method: str, path: str) -> None:
    """An id of nowhere, or of another project, is 404."""
    assert researcher.request(method, f"/api/v1{path}", json={}).status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"judge": {"name": "toy_trut"}}, "judge.name"),
        ({"judge": {}}, "judge"),
        ({"judge": {"name": "rules", "max_words": 0}}, "judge.max_words"),
        ({"judge": {"name": "rules", "colour": "red"}}, "judge.colour"),
        ({"sampling": {"temperature": 3}}, "sampling.temperature"),
        ({"sampling": {"max_new_tokens": 0}}, "sampling.max_new_tokens"),
        ({"sampling": {"top_k": 3}}, "sampling.top_k"),
        ({"prompts": {"texts": []}}, "prompts.texts"),
        ({"prompts": {"texts": ["  "]}}, "prompts.texts.0"),
        ({"prompts": {"texts": ["x" * 50_001]}}, "prompts.texts.0"),
        ({"prompts": {"texts": ["nul \x00"]}}, "prompts.texts.0"),
        ({"prompts": {}}, "prompts"),
        ({"prompts": {"texts": ["a"], "dataset_id": str(uuid.uuid4())}}, "prompts"),
        ({"contestants": [str(uuid.uuid4()), str(uuid.uuid4())]}, "contestants.0"),
        ({"contestants": []}, "contestants"),
        ({"name": " "}, "name"),
        ({"seed": -1}, "seed"),
    ],
)
def test_wrong_fields_are_named(researcher: Client, body: Body, change: Body, field: str) -> None:
    """What is wrong is refused before anything is stored, and the field is named."""
    answer = researcher.post("/api/v1/evaluations", json=body | change)

    assert (answer.status_code, answer.json()["field"]) == (422, field)
    with transaction() as session:
        assert session.query(Match).count() == 0


def test_an_unknown_judge_names_the_nearest(researcher: Client, body: Body) -> None:
    """A misspelt judge is never replaced by another; the nearest name is offered."""
    answer = researcher.post("/api/v1/evaluations", json=body | {"judge": {"name": "toy_trut"}})

    assert "toy_truth" in answer.json()["detail"]


def test_one_checkpoint_twice_is_refused(researcher: Client, body: Body, pair: list[str]) -> None:
    """A checkpoint does not meet itself."""
    answer = researcher.post("/api/v1/evaluations", json=body | {"contestants": [pair[0]] * 2})

    assert answer.status_code == 422
    assert "once" in answer.json()["detail"]


def test_the_size_is_told_beforehand(researcher: Client, body: Body) -> None:
    """Preflight counts answers, matches and verdicts and starts nothing; doubled prompts are asked once."""
    texts = body["prompts"]["texts"]
    answer = researcher.post("/api/v1/evaluations/preflight", json=body | {"prompts": {"texts": texts + texts[:2]}})

    found = answer.json()
    assert (found["prompts"], found["responses"], found["matches"], found["verdicts"]) == (12, 24, 12, 24)
    assert found["tokens_at_most"] == 24 * 6
    assert researcher.get("/api/v1/evaluations").json()["items"] == []


def test_a_judge_that_knows_none_of_the_prompts_is_told_beforehand(researcher: Client, body: Body) -> None:
    """How many it knows nothing of, and where others are; nothing where it knows them all."""
    toy = prompts(2, seed=0)

    def told(texts: list[str], judge: Body) -> list[str]:
        sent = body | {"judge": judge, "prompts": {"texts": texts}}
        warnings: list[str] = researcher.post("/api/v1/evaluations/preflight", json=sent).json()["warnings"]
        return [one for one in warnings if "cannot give a verdict" in one]

    truth = {"name": "toy_truth"}
    (nothing,) = told(TEXTS, truth)
    (some,) = told([*toy, *TEXTS], {"name": "panel", "members": [truth, truth, {"name": "rules"}]})
    assert nothing.startswith("“Truth of the toy world” cannot give a verdict on any of the prompts. Choose a dataset")
    assert "on 12 of the 14 prompts" in some
    assert told(toy, truth) == told(TEXTS, {"name": "rules"}) == []


def test_launching_twice_with_one_key_launches_once(researcher: Client, body: Body) -> None:
    """A repeated request gives the first answer."""
    answers = [
        researcher.post("/api/v1/evaluations", json=body, headers={"Idempotency-Key": "k"}).json() for _ in range(2)
    ]

    assert answers[0]["id"] == answers[1]["id"]
    assert len(researcher.get("/api/v1/evaluations").json()["items"]) == 1


def test_a_worker_answers_and_judges_both_ways(researcher: Client, evaluated: Body) -> None:
    """Every prompt is answered by both contestants and every match judged in both side orders."""
    assert (evaluated["state"], evaluated["done"], evaluated["total"]) == ("succeeded", 48, 48)
    found = researcher.get(f"/api/v1/evaluations/{evaluated['id']}/matches?limit=100").json()["items"]
    assert len(found) == len(TEXTS)
    assert all(match["a"]["tokens"] and match["b"]["tokens"] for match in found)
    for match in found:
        unturned, turned = sorted(match["verdicts"], key=lambda verdict: verdict["swapped"])
        assert (unturned["swapped"], turned["swapped"]) == (False, True)
        assert unturned["probability"] == turned["probability"]
        assert unturned["scores"] == turned["scores"]


def test_the_report_has_everything_beside_the_number(researcher: Client, evaluated: Body) -> None:
    """A win rate comes with n, prompts, interval, level and seed; counts add up."""
    report = researcher.get(f"/api/v1/evaluations/{evaluated['id']}/report?level=0.9").json()

    (table,) = report["tables"]
    (row,) = table["pairs"]
    rate = row["win_rate"]
    assert (table["judge"], row["second"], row["verdicts"]) == ("rules", evaluated["contestants"][0]["id"], 24)
    assert (rate["n"], rate["prompts"], rate["level"], rate["seed"]) == (12, 12, 0.9, 5)
    assert rate["wins"] + rate["ties"] + rate["losses"] == 12
    assert 0 <= rate["low"] <= rate["rate"] <= rate["high"] <= 1
    (against,) = table["against"]
    assert (against["contestant"], against["prompts"]) == (row["first"], 12)
    assert (against["controlled"]["n"], against["controlled"]["level"], against["controlled"]["seed"]) == (12, 0.9, 5)
    assert against["controlled"]["raw"] == pytest.approx(rate["rate"])
    assert against["corrected"]["people"] == 0
    assert table["ranking"] is None
    assert [contestant["name"] for contestant in report["contestants"]] == list(NAMES)
    assert all(contestant["length"]["n"] == 12 for contestant in report["contestants"])
    assert all("rules kept" in contestant["scores"] for contestant in report["contestants"])


def test_a_new_evaluation_has_no_rate(researcher: Client, body: Body) -> None:
    """Before any verdict the rate is null with a reason, not a number."""
    launched = researcher.post("/api/v1/evaluations", json=body).json()

    report = researcher.get(f"/api/v1/evaluations/{launched['id']}/report").json()

    rate = report["tables"][0]["pairs"][0]["win_rate"]
    assert (rate["rate"], rate["low"], rate["n"]) == (None, None, 0)
    assert rate["reason"]


def test_verdicts_without_an_answer_are_counted(researcher: Client, body: Body) -> None:
    """The toy truth knows nothing of these prompts: every verdict is kept with its reason, none is a loss or a tie, and
    the advice, on the report card too, is to ask others."""
    launched = researcher.post("/api/v1/evaluations", json=body | {"judge": {"name": "toy_truth"}}).json()
    evaluate.work()
    card = researcher.get(f"/api/v1/evaluations/{launched['id']}/judge").json()

    report = researcher.get(f"/api/v1/evaluations/{launched['id']}/report").json()

    row = report["tables"][0]["pairs"][0]
    assert (row["verdicts"], list(row["undecided"].values()), row["win_rate"]["n"]) == (24, [24], 0)
    assert any("24 verdicts of toy truth came to nothing" in warning for warning in report["warnings"])
    (said,) = report["tables"][0]["statements"]
    for text in (said, card["words"][0]["text"]):
        assert "Choose a dataset of the toy world's prompts" in text
        assert "template" not in text


def test_a_prompt_over_the_context_is_told(researcher: Client, body: Body) -> None:
    """One prompt that is too long costs that prompt only; its matches are undecided and say why."""
    long = "word " * 400
    launched = researcher.post("/api/v1/evaluations", json=body | {"prompts": {"texts": [*TEXTS, long]}}).json()
    evaluate.work()

    evaluation = researcher.get(f"/api/v1/evaluations/{launched['id']}").json()
    report = researcher.get(f"/api/v1/evaluations/{launched['id']}/report").json()
    failed = researcher.get(f"/api/v1/evaluations/{launched['id']}/matches?outcome=failed").json()["items"]
    assert (evaluation["state"], evaluation["done"]) == ("succeeded", evaluation["total"])
    assert report["tables"][0]["pairs"][0]["undecided"] == {"no answer: prompt too long": 2}
    assert report["contestants"][0]["failed"] == {"prompt too long": 1}
    assert len(failed) == 1
    assert "tokens" in failed[0]["a"]["error"]


def test_missing_weights_are_refused_beforehand(
    researcher: Client, body: Body, register: Callable[..., uuid.UUID], tmp_path: Path
) -> None:
    """An evaluation of a checkpoint whose folder is gone is refused by name at its field."""
    gone = str(register("Vanished", tmp_path / "gone"))
    answer = researcher.post("/api/v1/evaluations", json=body | {"contestants": [body["contestants"][0], gone]})

    assert (answer.status_code, answer.json()["field"]) == (422, "contestants.1")
    assert "Vanished" in answer.json()["detail"]


def test_weights_that_vanish_while_it_waits_fail_with_their_name(
    researcher: Client, body: Body, register: Callable[..., uuid.UUID], folders: list[Path], tmp_path: Path
) -> None:
    """When a checkpoint's folder goes before the worker comes, it ends failed, says whose folder, and what to do."""
    folder = shutil.copytree(folders[2], tmp_path / "going")
    going = str(register("Vanished", folder))
    launched = researcher.post("/api/v1/evaluations", json=body | {"contestants": [body["contestants"][0], going]})
    shutil.rmtree(folder)
    evaluate.work()

    found = researcher.get(f"/api/v1/evaluations/{launched.json()['id']}").json()
    assert found["state"] == "failed"
    assert "Vanished" in found["reason"]
    assert found["remedy"]


def test_three_contestants_meet_in_every_pair(
    researcher: Client, body: Body, register: Callable[..., uuid.UUID], folders: list[Path]
) -> None:
    """Three contestants make three pairs, each answer is sampled once."""
    third = str(register("Third", folders[2]))
    body |= {"contestants": [*body["contestants"], third], "prompts": {"texts": TEXTS[:3]}}
    launched = researcher.post("/api/v1/evaluations", json=body).json()
    evaluate.work()

    report = researcher.get(f"/api/v1/evaluations/{launched['id']}/report").json()
    assert len(report["tables"][0]["pairs"]) == 3
    assert report["matches"] == 9
    ranking = report["tables"][0]["ranking"]
    assert ranking["n"] == 9
    assert ranking["standings"] or len(ranking["groups"]) > 1
    assert ranking["reason"]
    with transaction() as session:
        rows = session.query(Match).where(Match.position == 0).all()
        by_checkpoint: dict[Any, set[str]] = {}
        for match in rows:
            by_checkpoint.setdefault(match.checkpoint_a, set()).add(match.response_a["content"])  # type: ignore[index]
            by_checkpoint.setdefault(match.checkpoint_b, set()).add(match.response_b["content"])  # type: ignore[index]
    assert all(len(texts) == 1 for texts in by_checkpoint.values())


def test_cancelling_before_the_start(researcher: Client, body: Body) -> None:
    """A queued evaluation is cancelled at once, and no worker takes it."""
    launched = researcher.post("/api/v1/evaluations", json=body).json()

    answer = researcher.post(f"/api/v1/evaluations/{launched['id']}/cancel")
    evaluate.work()

    assert answer.json()["state"] == "cancelled"
    assert researcher.get(f"/api/v1/evaluations/{launched['id']}").json()["done"] == 0
    assert researcher.post(f"/api/v1/evaluations/{launched['id']}/cancel").json()["state"] == "cancelled"


def test_a_dead_worker_is_replaced_and_answers_are_kept(researcher: Client, body: Body) -> None:
    """After kill -9 the sweep queues the evaluation again; what was answered is not sampled anew."""
    launched = researcher.post("/api/v1/evaluations", json=body).json()
    with transaction() as session:
        taken = progress.take(session)
        assert taken is not None
        taken.pid = 2**22 + 1  # no process has this number
        answer = {"content": "kept", "tokens": 1, "ended": True}
        progress.store_answers(session, taken.id, uuid.UUID(body["contestants"][0]), {0: answer})
    with transaction() as session:
        assert service.sweep(session) == 1
    evaluate.work()

    found = researcher.get(f"/api/v1/evaluations/{launched['id']}").json()
    first = researcher.get(f"/api/v1/evaluations/{launched['id']}/matches").json()["items"][0]
    assert (found["state"], found["attempts"], found["done"]) == ("succeeded", 2, found["total"])
    assert first["a"]["message"]["text"] == "kept"


def test_workers_that_keep_dying_end_the_evaluation(researcher: Client, body: Body) -> None:
    """The third dead worker is the last: the evaluation ends failed with a reason, never "running" for ever."""
    launched = researcher.post("/api/v1/evaluations", json=body).json()
    for _ in range(3):
        with transaction() as session:
            taken = progress.take(session)
            assert taken is not None
            taken.pid = 2**22 + 1
        with transaction() as session:
            service.sweep(session)

    found = researcher.get(f"/api/v1/evaluations/{launched['id']}").json()
    assert found["state"] == "failed"
    assert "3 times" in found["reason"]


def test_a_worker_that_is_told_to_stop_hands_over(
    researcher: Client, body: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An orderly stop puts the evaluation back into the queue and counts as no failed attempt."""
    launched = researcher.post("/api/v1/evaluations", json=body).json()
    told = iter([False])  # asked before a row is taken; from then on the worker has its SIGTERM
    monkeypatch.setattr(shutdown, "asked", lambda: next(told, True))

    evaluate.work()

    with transaction() as session:
        row = session.get_one(Evaluation, uuid.UUID(launched["id"]))
        assert (row.state, row.attempts) == (State.queued, 0)


@pytest.mark.parametrize("taken_by_another", [False, True])
def test_a_worker_that_was_swept_while_it_lived_lets_go(
    researcher: Client, body: Body, monkeypatch: pytest.MonkeyPatch, taken_by_another: bool
) -> None:
    """It neither queues again what has ended nor disturbs the worker that has taken the evaluation since."""
    launched = researcher.post("/api/v1/evaluations", json=body).json()
    another = os.getpid() + 1

    def meanwhile(job: evaluate.Job) -> None:
        with transaction() as session:
            row = session.get_one(Evaluation, job.id)
            if taken_by_another:
                row.pid = another
            else:
                finish(row, State.failed, "Its worker died.")
        assert job.watch()  # the heartbeat hears of it, and the work stops

    monkeypatch.setattr(evaluate, "_answer", meanwhile)
    evaluate.work()

    with transaction() as session:
        row = session.get_one(Evaluation, uuid.UUID(launched["id"]))
        if taken_by_another:
            assert (row.state, row.pid, row.attempts) == (State.running, another, 1)
        else:
            assert (row.state, row.reason, row.attempts) == (State.failed, "Its worker died.", 1)


def test_the_same_seed_gives_the_same_answers(researcher: Client, body: Body) -> None:
    """An evaluation can be repeated."""
    ids = [researcher.post("/api/v1/evaluations", json=body).json()["id"] for _ in range(2)]
    evaluate.work()

    texts = [
        [
            (match["a"]["message"]["text"], match["b"]["message"]["text"])
            for match in researcher.get(f"/api/v1/evaluations/{one}/matches?limit=100").json()["items"]
        ]
        for one in ids
    ]
    assert texts[0] == texts[1]
    with transaction() as session:
        assert session.query(Verdict).count() == 48


def test_filters_of_the_match_table(researcher: Client, evaluated: Body) -> None:
    """Won, lost and tied matches of a contestant are all matches; a page ends in a cursor."""
    base, tuned = (contestant["id"] for contestant in evaluated["contestants"])
    address = f"/api/v1/evaluations/{evaluated['id']}/matches"
    counts = {
        outcome: len(
            researcher.get(address, params={"contestant": tuned, "outcome": outcome, "limit": 100}).json()["items"]
        )
        for outcome in ("won", "lost", "tie")
    }
    mirrored = researcher.get(address, params={"contestant": base, "outcome": "lost", "limit": 100}).json()["items"]

    assert sum(counts.values()) == 12
    assert len(mirrored) == counts["won"]
    page = researcher.get(address, params={"limit": 5}).json()
    rest = researcher.get(address, params={"limit": 100, "cursor": page["next_cursor"]}).json()
    assert (len(page["items"]), len(rest["items"]), rest["next_cursor"]) == (5, 7, None)
    assert researcher.get(address, params={"outcome": "maybe"}).status_code == 422
    assert researcher.get(address, params={"cursor": "nonsense"}).status_code == 422
