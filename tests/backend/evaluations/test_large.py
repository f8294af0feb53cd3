"""Large evaluations, right after they were made: Postgres knows how many rows there are and plans for them."""

from collections.abc import Callable

import pytest
from sqlalchemy import text

from backend import db
from backend.db import transaction
from tests.backend.evaluations.conftest import ANNOTATION, Body
from tests.conftest import Client
from workers.tasks import evaluate

PROMPTS = 5


def counted() -> list[int]:
    """The matches and verdicts that Postgres believes there are."""
    query = "SELECT reltuples FROM pg_class WHERE oid IN ('matches'::regclass, 'verdicts'::regclass) ORDER BY relname"
    with transaction() as session:
        return [int(one) for one in session.scalars(text(query))]


def forgotten() -> None:
    """Afterwards it believes there are none, as of tables that have just been made."""
    with transaction() as session:
        session.execute(text("TRUNCATE matches, verdicts CASCADE"))


def test_an_import_is_counted_at_once(researcher: Client, imported: Callable[..., Body]) -> None:
    """Whoever opens the grid of a fresh import meets a plan for its rows, not one for an empty table."""
    forgotten()
    rows = [ANNOTATION | {"instruction": f"Say {n}.", "preference": 1 + n % 2} for n in range(db.MANY)]
    report = imported(rows)
    assert counted() == [db.MANY, db.MANY]
    path = f"/api/v1/evaluations/{report['evaluation']['id']}/grid"
    plan = 'EXPLAIN SELECT DISTINCT "position" FROM matches WHERE evaluation_id = :one ORDER BY 1 LIMIT 51'
    with transaction() as session:
        said = "\n".join(session.scalars(text(plan), {"one": report["evaluation"]["id"]}))
    assert "Index" in said, said
    assert researcher.get(path).json()["prompts"] == db.MANY
    assert len(researcher.get(f"{path}/rows?limit=50").json()["items"]) == 50


def test_judging_is_counted_when_it_is_done(researcher: Client, body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    """Launching tells of the matches, the end of judging of the verdicts."""
    monkeypatch.setattr(db, "MANY", PROMPTS)
    forgotten()
    made = researcher.post(
        "/api/v1/evaluations", json=body | {"prompts": {"texts": body["prompts"]["texts"][:PROMPTS]}}
    )
    assert made.status_code == 202, made.text
    assert counted()[0] == PROMPTS
    evaluate.work()
    assert researcher.get(f"/api/v1/evaluations/{made.json()['id']}").json()["state"] == "succeeded"
    assert counted() == [PROMPTS, 2 * PROMPTS]
