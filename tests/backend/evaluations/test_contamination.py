"""Prompts that contestants were trained on: searched for by the worker, told, filtered; the chain of runs counts."""

import uuid
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from backend.checkpoints.models import Checkpoint
from backend.datasets.models import Snapshot
from backend.db import transaction
from backend.evaluations import contamination
from backend.evaluations.models import Contamination
from backend.runs.models import Run
from backend.work import State
from tests import contest
from tests.conftest import Client
from workers.tasks import contaminations

PROMPTS = 10


@pytest.fixture
def made(clean: None, tmp_path: Path) -> contest.Contest:
    """Of ten prompts the first run was trained on four and a held-out fifth, the second on two others."""
    made = contest.make(PROMPTS)
    first = [*map(contest.example, range(4)), contest.example(4, "validation")]
    contest.train(made, tmp_path, {0: first, 1: [contest.example(6), contest.example(7)]})
    return made


def path(made: contest.Contest, ending: str = "contamination") -> str:
    return f"/api/v1/evaluations/{made.id}/{ending}"


def search(client: Client, made: contest.Contest) -> Any:
    assert client.post(path(made)).json()["state"] == "queued"
    contaminations.work()
    return client.get(path(made)).json()


def test_what_was_seen(researcher: Client, made: contest.Contest) -> None:
    """Every contestant has the prompts of its own run, not of the held-out split, nor of the other run."""
    before = researcher.get(path(made)).json()
    assert (before["state"], before["trained"], before["items"]) == (None, 5, [])
    assert before["words"] == contamination.UNASKED

    found = search(researcher, made)

    assert (found["state"], found["done"], found["total"]) == ("succeeded", 6, 6)
    counts = {one["contestant"]: (one["exact"], one["overlapping"], one["prompts"]) for one in found["items"]}
    wanted = dict(zip(map(str, made.contestants[1:]), [(4, 0, PROMPTS)] * 3 + [(2, 0, PROMPTS)] * 2, strict=True))
    assert counts == wanted
    assert "4 of 10 prompts (40.0%) stand in what “DPO, beta 0.1 10” was trained on" in found["items"][0]["words"]
    assert found["words"].startswith(contamination.SOME)
    assert "the one contestant not trained here" in found["words"]


def test_rates_with_and_without(researcher: Client, made: contest.Contest) -> None:
    """Both rates stand in the report, page and file alike, and make up the whole; the doubt is told."""
    search(researcher, made)
    report = researcher.get(path(made, "report")).json()
    (table,) = (one for one in report["tables"] if one["judge"] == contest.JUDGE)
    whole = {one["first"]: one["win_rate"] for one in table["pairs"] if one["second"] == str(made.contestants[0])}
    for one in table["clean"]:
        seen, unseen, rate = one["seen"], one["unseen"], whole[one["contestant"]]
        assert seen["prompts"] + unseen["prompts"] == PROMPTS
        assert seen["rate"] * seen["n"] + unseen["rate"] * unseen["n"] == pytest.approx(rate["rate"] * rate["n"])
    assert [one["seen"]["prompts"] for one in table["clean"]] == [4, 4, 4, 2, 2]
    assert any("was trained on: 4 word for word" in words for words in report["warnings"])
    page = researcher.get(path(made, "report.html")).text
    assert "Prompts seen in training" in page
    assert "Without them" in page


def test_the_filter(researcher: Client, made: contest.Contest) -> None:
    """Seen by either side, by the one that is named, or by none; rows of the grid tell by whom."""
    search(researcher, made)

    def positions(**asked: Any) -> set[int]:
        found = researcher.get(path(made, "grid"), params=asked).json()["positions"]
        return {one for first, last in found for one in range(first, last + 1)}

    assert positions(in_training=True) == {0, 1, 2, 3, 6, 7}
    assert positions(in_training=True, contestant=str(made.contestants[-1])) == {6, 7}
    assert positions(in_training=False, contestant=str(made.contestants[1])) == {4, 5, 6, 7, 8, 9}
    row = researcher.get(path(made, "grid/rows"), params={"in_training": True}).json()["items"][0]
    assert set(row["trained_on"]) == set(map(str, made.contestants[1:4]))


def test_what_a_run_began_with_counts(researcher: Client, made: contest.Contest) -> None:
    """A run that goes on from another run's checkpoint has seen what that one had."""
    with transaction() as session:
        session.execute(update(Run).where(Run.id == made.runs[1]).values(checkpoint_id=made.contestants[3]))
        session.execute(
            update(Checkpoint).where(Checkpoint.run_id == made.runs[1]).values(parent_id=made.contestants[3])
        )
    found = search(researcher, made)
    assert [one["exact"] for one in found["items"]] == [4, 4, 4, 6, 6]


def test_nobody_trained_here(researcher: Client, made: contest.Contest) -> None:
    """Without a run there is nothing to search, and that is said."""
    with transaction() as session:
        session.execute(update(Checkpoint).values(run_id=None))
    answer = researcher.post(path(made))
    assert (answer.status_code, answer.json()["title"]) == (409, "Nothing trained here")
    assert researcher.get(path(made)).json()["words"] == contamination.NOBODY


def test_stopped_and_begun_anew(researcher: Client, made: contest.Contest) -> None:
    """What is cancelled says so, and can be asked for again; what lost its worker goes on once."""
    researcher.post(path(made))
    assert researcher.post(path(made, "contamination/cancel")).json()["state"] == "cancelled"
    contaminations.work()
    assert researcher.get(path(made)).json()["items"] == []
    researcher.post(path(made))
    with transaction() as session:
        row = session.scalars(select(Contamination)).one()
        row.state, row.attempts = State.running, 1
    with transaction() as session:
        assert contamination.sweep(session) == 1
    contaminations.work()
    assert researcher.get(path(made)).json()["state"] == "succeeded"


def test_a_snapshot_that_is_gone(researcher: Client, made: contest.Contest) -> None:
    """The reason stands where the numbers would."""
    with transaction() as session:
        session.execute(update(Snapshot).values(path=f"snapshots/{'0' * 64}"))
    found = search(researcher, made)
    assert found["state"] == "failed"
    assert found["reason"]
    assert found["words"].startswith(found["reason"])


def test_the_launch_begins_it(researcher: Client, made: contest.Contest, body: dict[str, Any]) -> None:
    """The search is queued with the evaluation, where a contestant came from a run."""
    for run in (None, made.runs[0]):
        with transaction() as session:
            session.get_one(Checkpoint, uuid.UUID(body["contestants"][1])).run_id = run
        launched = researcher.post("/api/v1/evaluations", json=body).json()["id"]
        found = researcher.get(f"/api/v1/evaluations/{launched}/contamination").json()
        assert found["state"] == ("queued" if run else None)
        assert found["total"] == (4 if run else 0)


def test_whose_it_is(anonymous: Client, annotator: Client, made: contest.Contest) -> None:
    assert anonymous.get(path(made)).status_code == 401
    assert annotator.get(path(made)).status_code == 403
    assert (annotator.post(path(made)).status_code, anonymous.post(path(made)).status_code) == (403, 401)
