"""Objectives that ask for further checkpoints: refused without them, launched with them, and these are then kept."""

import uuid
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.runs import service
from backend.runs.models import Run
from tests import loop
from tests.backend.runs.conftest import Body, Launched
from tests.checkpoints import make_llama
from tests.conftest import Client

SOME = "00000000-0000-7000-8000-000000000000"
GUIDED = {"name": "tgdpo", "beta": 0.1}


@pytest.mark.parametrize(
    ("objective", "thirds", "words"),
    [
        (GUIDED, {}, "TGDPO needs another checkpoint as its guide"),
        ({"name": "adpa"}, {"teacher": SOME}, "teacher_reference"),
        (GUIDED, {"guide": SOME, "teacher": SOME}, "asks for no checkpoint named 'teacher'"),
        ({"name": "dpo"}, {"guide": SOME}, "asks for no checkpoint named 'guide'"),
        (GUIDED, {"guide": "nonsense"}, "Must be an id"),
        (GUIDED, {"guide": None}, "Must be an id"),
        (GUIDED, [SOME], "Must be an object"),
    ],
)
def test_a_missing_or_unasked_checkpoint_is_named(
    researcher: Client, body: Body, objective: dict[str, Any], thirds: Any, words: str
) -> None:
    """Both the pre-flight and the launch say which name lacks a checkpoint, and nothing is queued."""
    sent = body(objective=objective, third_ids=thirds)

    answer = researcher.post("/api/v1/runs", json=sent)
    told = researcher.post("/api/v1/runs/preflight", json=sent).json()

    assert answer.status_code == 422
    assert answer.json()["field"].startswith("third_ids")
    assert words in answer.text
    assert told["errors"][0]["field"].startswith("third_ids")
    assert words in told["errors"][0]["detail"]
    with transaction() as session:
        assert session.scalar(select(func.count()).select_from(Run)) == 0


def test_somebody_elses(researcher: Client, body: Body) -> None:
    """A checkpoint of nobody here is 404, naming the field."""
    sent = body(objective=GUIDED, third_ids={"guide": SOME})

    answer = researcher.post("/api/v1/runs", json=sent)
    told = researcher.post("/api/v1/runs/preflight", json=sent).json()

    assert (answer.status_code, answer.json()["field"]) == (404, "third_ids")
    assert told["errors"][0]["field"] == "third_ids"


def test_a_run_knows_its_guide(researcher: Client, launched: Launched, base: Checkpoint) -> None:
    """The guide is in the run's page and YAML, what training reads has its place, and its weights are in use."""
    run = launched(objective=GUIDED, third_ids={"guide": str(base.id)})

    whole = researcher.get(f"/api/v1/runs/{run['id']}").json()
    assert whole["third_ids"] == {"guide": str(base.id)}
    assert "third:\n  guide: " in whole["yaml"]
    assert "third" not in str(whole["spec"])
    with transaction() as session:
        found = service.materials(session, session.get_one(Run, uuid.UUID(run["id"])))
        assert found.fetched(Path).third == {"guide": Path(base.path)}
        assert checkpoints.used(session, session.get_one(Checkpoint, base.id))


def test_the_memory_of_a_guide_is_estimated(researcher: Client, body: Body, base: Checkpoint) -> None:
    """A guide and a reference that are asked at every step are told of as memory before the launch."""
    guided = body(objective=GUIDED, third_ids={"guide": str(base.id)})
    told = researcher.post("/api/v1/runs/preflight", json=guided).json()

    reference = sum(part["bytes"] for part in told["estimate"]["memory"] if part["name"] == "reference")
    assert told["errors"] == []
    assert reference == 4 * told["estimate"]["parameters"]  # the guide is the reference, and held once


@pytest.mark.parametrize(
    ("objective", "role", "field"),
    [(GUIDED, "guide", "third_ids"), ({"name": "dpo"}, "reference", "reference_id"), ({"name": "simpo"}, None, None)],
    ids=["guide", "reference", "unread"],
)
def test_a_checkpoint_that_reads_other_tokens_is_refused_before_anything_is_queued(
    researcher: Client, body: Body, tmp_path: Path, objective: dict[str, Any], role: str | None, field: str | None
) -> None:
    """By the pre-flight and by the launch; what the objective never asks is not compared."""
    make_llama(tmp_path / "one", ["some words of the one"])
    make_llama(tmp_path / "other", ["altogether different vocabulary here"], vocabulary=280)
    own, other = (loop.add_checkpoint(tmp_path / name, name) for name in ("one", "other"))
    sent = body(checkpoint_id=str(own.id), objective=objective)
    sent |= {"third_ids": {"guide": str(other.id)}} if role == "guide" else {}
    sent |= {"reference_id": str(other.id)} if role == "reference" else {}

    told = researcher.post("/api/v1/runs/preflight", json=sent).json()["errors"]
    answer = researcher.post("/api/v1/runs", json=sent)

    if field is None:
        assert (told, answer.status_code) == ([], 202)
        return
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert f"The {role} has another tokenizer" in answer.json()["detail"]
    assert [one["field"] for one in told] == [field]
