"""How far annotators can be trusted: asked for, watched and stopped here, estimated by a worker."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from alignment.statistics import Ratings, trust
from alignment.statistics.coefficients import ALONE
from alignment.statistics.crowd_bt import Comparisons, crowd_bt
from alignment.statistics.dawid_skene import dawid_skene
from alignment.statistics.ratings import Numbers
from alignment.statistics.resampling import Spread
from backend import paging, work
from backend.accounts.models import User
from backend.errors import NotFound
from backend.projects.models import Project
from backend.quality import reading
from backend.quality.models import Reliability
from backend.quality.reading import Said, Scope
from backend.queue import ring

STEPS = 100  # of each model, for who watches
LEVEL, SEED = 0.95, 0
AGAIN = "Ask for them again."
NO_CHOICES = "Crowd-BT compares responses, and these are judged one by one."
NEVER_TWICE = "No response was compared twice, so its score would be a guess."
RESPONSES = text(
    "SELECT position, array(SELECT items.prompt_hash || md5(one ->> 'content')"
    " FROM jsonb_array_elements(responses) WITH ORDINALITY AS each(one, place) ORDER BY place)"
    " FROM items WHERE dataset_id = :dataset AND position = ANY(:positions)"
)
Heed = Callable[[int], None]


class Fitted(NamedTuple):
    """What a model says of each annotator, with intervals from so many rounds."""

    values: NDArray[np.float64]
    spreads: list[Spread]
    rounds: int
    iterations: int
    converged: bool

    def value(self, place: int) -> float | None:
        return float(self.values[place]) if place < len(self.values) else None

    def bounds(self, place: int) -> dict[str, Any] | None:
        if place >= len(self.spreads):
            return None
        low, high, _, reason = self.spreads[place]
        return {"low": low, "high": high, "reason": reason}


def request(session: Session, project: Project, user: User, scope: Scope) -> Reliability:
    """A queued row; a worker is rung once the transaction commits."""
    row = Reliability(
        project_id=project.id,
        dataset_id=scope.dataset.id,
        task_id=scope.task.id if scope.task else None,
        total=2 * STEPS,
        created_by=user.id,
    )
    session.add(row)
    session.flush()
    ring(session, "reliabilities")
    return row


def page(session: Session, scope: Scope, cursor: str | None, limit: int) -> tuple[Sequence[Reliability], str | None]:
    """What was asked for about these labels, newest first, and the cursor of the next page."""
    task_id = scope.task.id if scope.task else None
    own = Reliability.dataset_id == scope.dataset.id, Reliability.task_id.is_not_distinct_from(task_id)
    return paging.page(session, select(Reliability).where(*own), Reliability.id, cursor, limit)


def find(session: Session, project: Project, row_id: uuid.UUID, *, lock: bool = False) -> Reliability:
    """Raises NotFound."""
    row = session.get(Reliability, row_id, with_for_update=lock)
    if row is None or row.project_id != project.id:
        raise NotFound.of("estimate of reliabilities")
    return row


def cancel(session: Session, project: Project, row_id: uuid.UUID) -> Reliability:
    """Ask it to stop.  Raises AlreadyEnded."""
    row = find(session, project, row_id, lock=True)
    work.request_stop(row)
    return row


def sweep(session: Session) -> int:
    """End estimates whose worker is gone; returns how many."""
    return len(work.end_silent(session, Reliability, "The worker that estimated them was killed.", AGAIN))


def read(session: Session, row: Reliability) -> tuple[Scope, Said, dict[int, list[str]]]:
    """The labels that an estimate is about, and of each item what tells its responses apart."""
    if row.task_id is None:
        scope = reading.of_dataset(session, row.project_id, row.dataset_id)
    else:
        scope = reading.of_task(session, row.project_id, row.task_id)
    said = reading.judged(reading.read(session, scope))
    positions = np.unique(said.item).tolist()
    rows = session.execute(RESPONSES, {"dataset": scope.dataset.id, "positions": positions})
    return scope, said, dict(rows.all())


def estimate(scope: Scope, said: Said, responses: dict[int, list[str]], heed: Heed) -> dict[str, Any] | None:
    """What both models say, as `ReliabilitiesOut` has it; None where neither applies.

    `heed(done)` is called again and again with how many of `2 * STEPS` are done, and may raise.
    """
    chosen = reading.chosen(scope, said)
    found: dict[str, Fitted] = {}
    reasons: dict[str, str] = {}
    if len(chosen.unit) and chosen.counts().sum(axis=1).max() >= 2:
        found["dawid_skene"] = _by_answers(chosen, heed)
    else:
        reasons["dawid_skene"] = ALONE
    compared = None if scope.kind == "thumb" else _comparisons(said, chosen, responses)
    if compared is None:
        reasons["crowd_bt"] = NO_CHOICES
    elif not len(compared.first) or max(np.bincount(compared.first).max(), np.bincount(compared.second).max()) < 2:
        reasons["crowd_bt"] = NEVER_TWICE
    else:
        item = chosen.item[chosen.unit[_preferring(chosen)]]
        found["crowd_bt"] = _by_choices(compared, item, lambda done: heed(STEPS + done))
    heed(2 * STEPS)
    return _told(said, found, reasons) if found else None


def _by_answers(chosen: Ratings, heed: Heed) -> Fitted:
    fit = dawid_skene(chosen, heed=lambda *_: heed(0))
    drawn = trust.accuracies(chosen, fit, seed=SEED, heed=lambda done, most: heed(STEPS * done // most))
    spreads = trust.spreads(drawn, fit.accuracy, chosen.annotator, chosen.item[chosen.unit], LEVEL)
    return Fitted(fit.accuracy, spreads, len(drawn), fit.iterations, fit.converged)


def _by_choices(compared: Comparisons, item: Numbers, heed: Heed) -> Fitted:
    fit = crowd_bt(compared, heed=lambda *_: heed(0))
    drawn = trust.reliabilities(compared, item, fit, seed=SEED, heed=lambda done, most: heed(STEPS * done // most))
    spreads = trust.spreads(drawn, fit.reliability, compared.annotator, item, LEVEL)
    return Fitted(fit.reliability, spreads, len(drawn), fit.iterations, fit.converged)


def _preferring(chosen: Ratings) -> NDArray[np.bool_]:
    """Judgements that prefer one of two or tie them; both-bad does neither."""
    return chosen.category < 3


def _comparisons(said: Said, chosen: Ratings, responses: dict[int, list[str]]) -> Comparisons:
    """Every choice between two responses; both-bad is none."""
    names: dict[str, int] = {}
    items = np.unique(said.item)
    known = [[names.setdefault(name, len(names)) for name in responses[position]] for position in items.tolist()]
    wanted = _preferring(chosen)
    unit, category = chosen.unit[wanted], chosen.category[wanted]
    width = max(1, len(chosen.item) // max(1, len(items)))
    order = [(first, second) for second in range(1, width + 1) for first in range(second)] or [(0, 1)]
    both = [(known[one // width][order[one % width][0]], known[one // width][order[one % width][1]]) for one in unit]
    first, second = np.array(both, dtype=np.int64).reshape(-1, 2).T
    won = np.choose(category, (1.0, 0.0, 0.5))
    return Comparisons(chosen.annotator[wanted], first, second, won)


def _told(said: Said, found: dict[str, Fitted], reasons: dict[str, str]) -> dict[str, Any]:
    counts = np.bincount(said.annotator, minlength=len(said.people))
    names = {"accuracy": found.get("dawid_skene"), "reliability": found.get("crowd_bt")}
    rows = [
        {
            "annotator_id": str(person.id) if person.id else None,
            "name": person.name,
            "labels": int(counts[place]),
            **{name: fit and fit.value(place) for name, fit in names.items()},
            **{f"{name}_bounds": fit and fit.bounds(place) for name, fit in names.items()},
        }
        for place, person in enumerate(said.people)
        if counts[place]
    ]
    return {
        "annotators": sorted(rows, key=lambda row: (-row["labels"], row["name"])),
        "items": len(np.unique(said.item)),
        "labels": len(said.item),
        "converged": {name: fit.converged for name, fit in found.items()},
        "iterations": {name: fit.iterations for name, fit in found.items()},
        "rounds": {name: fit.rounds for name, fit in found.items()},
        "level": LEVEL,
        "seed": SEED,
        "reasons": reasons,
    }
