"""All checkpoints of a run in one evaluation against a baseline, and the curve over steps that its report tells."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend.accounts.models import Role
from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from tests import loop
from tests.backend.evaluations.conftest import TEXTS
from tests.conftest import Client
from tests.people import add_person
from workers.tasks import evaluate

Body = dict[str, Any]


@pytest.fixture
def run(pair: list[str], register: Callable[..., uuid.UUID], folders: list[Path]) -> tuple[str, list[str]]:
    """A run whose start is the baseline, and its checkpoints of steps 20 and 10."""
    ids = [*map(uuid.UUID, pair), register("R · step 10", folders[2])]
    with transaction() as session:
        user = add_person(session, Role.researcher)
        start = session.get_one(Checkpoint, ids[0])
    made = loop.add_run(user, start, loop.add_dataset())
    with transaction() as session:
        for checkpoint_id, step in zip(ids[1:], (20, 10), strict=True):
            row = session.get_one(Checkpoint, checkpoint_id)
            row.run_id, row.step = made.id, step
    return str(made.id), [str(one) for one in ids]


def test_a_run_by_step(researcher: Client, body: Body, run: tuple[str, list[str]]) -> None:
    """Its checkpoints meet the reference alone; the report has a place for each step, in order, with its interval."""
    run_id, (start, late, early) = run
    wanted = body | {"run_id": run_id, "contestants": []}
    assert researcher.post("/api/v1/evaluations/preflight", json=wanted).json()["matches"] == 2 * len(TEXTS)
    made = researcher.post("/api/v1/evaluations", json=wanted)
    assert made.status_code == 202, made.text
    evaluate.work()
    report = researcher.get(f"/api/v1/evaluations/{made.json()['id']}/report").json()

    assert [one["id"] for one in report["evaluation"]["contestants"]] == [start, early, late]
    (table,) = report["tables"]
    assert [(pair["first"], pair["second"]) for pair in table["pairs"]] == [(early, start), (late, start)]
    rates = {pair["first"]: pair["win_rate"]["rate"] for pair in table["pairs"]}
    told = [(one["step"], one["checkpoint_id"], one["rate"], one["n"]) for one in table["by_step"]]
    assert told == [(10, early, rates[early], len(TEXTS)), (20, late, rates[late], len(TEXTS))]
    assert all(one["low"] <= one["rate"] <= one["high"] for one in table["by_step"])


def test_a_run_that_is_not_there(researcher: Client, body: Body) -> None:
    """Another project's run, or none, is refused at its field; too many contestants need one baseline."""
    missing = researcher.post("/api/v1/evaluations", json=body | {"run_id": str(uuid.uuid4())})
    assert (missing.status_code, missing.json()["field"]) == (404, "run_id")
    many = researcher.post("/api/v1/evaluations", json=body | {"contestants": [str(uuid.uuid4()) for _ in range(7)]})
    assert (many.status_code, many.json()["field"]) == (422, "contestants")
