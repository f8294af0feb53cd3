"""Usage of a run that was continued: each stretch with devices counts, the wait between them does not."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from backend.work import State
from tests.backend.runs.conftest import Launched, base, body, change, dataset, launched
from tests.conftest import Client

__all__ = ["base", "body", "dataset", "launched"]
NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
DAY = {"from": "2026-01-10T00:00:00Z", "to": "2026-01-11T00:00:00Z"}


def test_a_continued_run_counts_what_it_took_before(researcher: Client, launched: Launched, tmp_path: Path) -> None:
    """An hour, a wait of two, two more hours: three hours of one run."""
    run = launched()
    change(
        run["id"],
        state=State.failed,
        state_step=2,
        state_host="elsewhere",
        device="cpu",
        started_at=NOON,
        finished_at=NOON + timedelta(hours=1),
    )

    def used() -> tuple[int, int, float]:
        (one,) = researcher.get("/api/v1/usage", params=DAY).json()["items"]
        return one["runs"], one["running"], one["cpu_seconds"]

    before = used()
    answer = researcher.post(f"/api/v1/runs/{run['id']}/resume", json={})
    assert answer.status_code == 202, answer.text
    assert used() == before == (1, 0, 3600)
    times = {"started_at": NOON + timedelta(hours=3), "finished_at": NOON + timedelta(hours=5)}
    change(run["id"], state=State.succeeded, **times)
    assert used() == (1, 0, 3 * 3600)
