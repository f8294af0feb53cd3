"""Estimates of reliabilities: asked for, fitted by the worker, stopped, refused where there is nothing to tell from."""

import uuid

import pytest
from sqlalchemy import update

from backend import work as queued
from backend.datasets.models import Kind
from backend.db import transaction
from backend.quality import reliabilities as service
from backend.quality.models import Reliability
from backend.tasks.schemas import Question
from tests.conftest import Client
from tests.voted import MakeWorld, Votes, read, strengths
from workers.tasks import reliabilities

GOOD = strengths(*["++-", "--+", "+++", "---", "++-", "--+"] * 4)


def ask(client: Client, path: str) -> str:
    answer = client.post(f"/api/v1{path}/reliabilities", headers={"idempotency-key": path})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_signed_out_and_not_allowed(anonymous: Client, annotator: Client, make_world: MakeWorld) -> None:
    """Reliabilities are for researchers."""
    path = f"/api/v1/tasks/{make_world(GOOD).task}/reliabilities"
    assert (anonymous.post(path).status_code, annotator.post(path).status_code) == (401, 403)
    assert (anonymous.get(path).status_code, annotator.get(path).status_code) == (401, 403)
    for ending in ("", "/cancel"):
        address = f"/api/v1/reliabilities/{uuid.uuid4()}{ending}"
        assert anonymous.request("POST" if ending else "GET", address).status_code == 401


def test_who_is_reliable(researcher: Client, make_world: MakeWorld) -> None:
    """Two who agree are trusted, the third is not; asked for twice under one key it is one estimate."""
    path = f"/tasks/{make_world(GOOD).task}"
    row = ask(researcher, path)
    assert ask(researcher, path) == row
    reliabilities.work()

    (found,) = read(researcher, f"{path}/reliabilities")["items"]

    assert found == read(researcher, f"/reliabilities/{row}")
    assert (found["state"], found["done"], found["total"]) == ("succeeded", 200, 200)
    result = found["result"]
    by_name = {one["name"].split("-")[0]: one for one in result["annotators"]}
    assert by_name["ann"]["accuracy"] > 0.8 > 0.6 > by_name["cy"]["accuracy"]
    assert all(0 < one["reliability"] < 1 for one in by_name.values())
    for one in by_name.values():
        assert 0 <= one["accuracy_bounds"]["low"] <= one["accuracy"] <= one["accuracy_bounds"]["high"] <= 1
        bounds = one["reliability_bounds"]  # who always agrees may have none, with its reason
        assert bounds["reason"] if bounds["low"] is None else bounds["low"] < bounds["high"]
    assert (result["level"], result["seed"], result["rounds"]) == (0.95, 0, {"dawid_skene": 200, "crowd_bt": 200})
    assert (result["items"], result["labels"], result["reasons"]) == (24, 72, {})
    assert result["converged"] == {"dawid_skene": True, "crowd_bt": True}


def test_annotators_of_files(researcher: Client, make_world: MakeWorld) -> None:
    """A dataset without a task, judged elsewhere, has reliabilities too."""
    path = f"/datasets/{make_world(GOOD, outside=True).dataset}"
    ask(researcher, path)
    reliabilities.work()

    (found,) = read(researcher, f"{path}/reliabilities")["items"]

    assert {one["name"] for one in found["result"]["annotators"]} == {"ann", "ben", "cy"}
    assert {one["annotator_id"] for one in found["result"]["annotators"]} == {None}


def test_rankings_and_thumbs(researcher: Client, make_world: MakeWorld) -> None:
    """Orders are compared two by two; thumbs have no scores, and the result says so."""
    order = {"ann": {"ranking": [[0], [1], [2]]}, "ben": {"ranking": [[0, 1], [2]]}}
    ranked = make_world([order] * 4, kind=Kind.ranked, question=Question(kind="ranking"), responses=3)
    thumb = {"ann": {"thumb": True}, "ben": {"thumb": False}}
    thumbs = make_world([thumb] * 4, kind=Kind.unpaired, question=Question(kind="thumb"), responses=1)
    ids = [ask(researcher, f"/tasks/{world.task}") for world in (ranked, thumbs)]
    reliabilities.work()

    first, second = (read(researcher, f"/reliabilities/{row}")["result"] for row in ids)

    assert (first["reasons"], set(first["converged"])) == ({}, {"dawid_skene", "crowd_bt"})
    assert list(second["reasons"]) == ["crowd_bt"]
    assert second["annotators"][0]["reliability"] is None


def test_nothing_to_tell_from(researcher: Client, make_world: MakeWorld) -> None:
    """One label on each item, or none at all, is refused with a sentence that says what to do."""
    alone: Votes = [{"ann": {"strength": 1}}]
    for votes in (alone, [{}]):
        row = ask(researcher, f"/tasks/{make_world(votes).task}")
        reliabilities.work()
        found = read(researcher, f"/reliabilities/{row}")
        assert (found["state"], found["result"]) == ("failed", None)
        assert found["remedy"] == reliabilities.COLLECT


def test_stopped(researcher: Client, make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Queued, it is cancelled at once; at work, it stops at the next pulse; what has ended cannot be stopped."""
    path = f"/tasks/{make_world(GOOD).task}"
    row = ask(researcher, path)
    assert researcher.post(f"/api/v1/reliabilities/{row}/cancel").json()["state"] == "cancelled"
    monkeypatch.setattr(reliabilities, "PULSE_SECONDS", 0.0)
    working = researcher.post(f"/api/v1{path}/reliabilities").json()["id"]
    with transaction() as session:
        session.execute(update(Reliability).where(Reliability.id == uuid.UUID(working)).values(stop_requested=True))
    reliabilities.work()

    assert read(researcher, f"/reliabilities/{working}")["state"] == "cancelled"
    done = researcher.post(f"/api/v1{path}/reliabilities").json()["id"]
    reliabilities.work()
    assert researcher.post(f"/api/v1/reliabilities/{done}/cancel").status_code == 409


def test_swept(researcher: Client, make_world: MakeWorld) -> None:
    """An estimate whose worker is gone ends with the reason."""
    row = uuid.UUID(ask(researcher, f"/tasks/{make_world(GOOD).task}"))
    with transaction() as session:
        claimed = queued.claim(session, Reliability)
        assert claimed is not None
        claimed.pid = 2**22 - 1
    with transaction() as session:
        assert service.sweep(session) == 1

    found = read(researcher, f"/reliabilities/{row}")
    assert (found["state"], found["remedy"]) == ("failed", service.AGAIN)
