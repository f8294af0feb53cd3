"""Whether an evaluation's prompts stand in what its contestants were trained on: asked for, found by a worker, told."""

import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np
from sqlalchemy import delete, insert, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from alignment.contamination import Seen
from alignment.statistics import rated
from alignment.statistics.ranking import Met
from backend.checkpoints.models import Checkpoint
from backend.datasets.models import Dataset, Snapshot
from backend.errors import Conflict
from backend.evaluations import contestants
from backend.evaluations.contamination_schemas import ContaminationOut, SeenOut, TrainedOnOut
from backend.evaluations.findings import BASE, scored
from backend.evaluations.models import Contamination, Evaluation, Match, SeenPrompt
from backend.evaluations.report_schemas import CleanOut
from backend.evaluations.said import Rule, rate_out
from backend.queue import ring
from backend.runs.models import Run, RunSnapshot
from backend.work import ENDED, State, retry_silent

MOST_ATTEMPTS = 2
AT_ONCE = 5_000
NOBODY = "No contestant was trained here, so which prompts they have seen cannot be told."
UNASKED = "Nobody has looked yet whether the prompts stand in what contestants were trained on."
UNDER_WAY = "What contestants were trained on is being searched for the prompts."
NONE = "No prompt stands in what contestants were trained on here."
SOME = "Prompts stand in what contestants were trained on: read the win rates without them too."
OTHERS = " Of {count} not trained here nobody can tell."

Prompts = Mapping[uuid.UUID, Set[str]]
"""Hashes of the prompts that each contestant has seen."""


class NothingTrained(Conflict):
    title = "Nothing trained here"


def trained_on(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Snapshot]]:
    """The snapshots that each checkpoint and its ancestors were trained on; without those never trained here."""
    runs: dict[uuid.UUID, Sequence[Snapshot]] = {}
    found = {one: {row.id: row for row in _snapshots(session, one, runs)} for one in ids}
    return {one: list(rows.values()) for one, rows in found.items() if rows}


def _snapshots(session: Session, checkpoint_id: uuid.UUID, runs: dict[uuid.UUID, Sequence[Snapshot]]) -> Iterator[Any]:
    """Those of the run that made it, and of what it was made from; `runs` remembers each run's."""
    waiting, met = [checkpoint_id], set()
    while waiting:
        one = session.get(Checkpoint, waiting.pop())
        if one is None or one.id in met:
            continue
        met.add(one.id)
        run = session.get(Run, one.run_id) if one.run_id else None
        if run is not None:
            if run.id not in runs:
                of_run = select(RunSnapshot.snapshot_id).where(RunSnapshot.run_id == run.id)
                own = Snapshot.id.in_(of_run) | (Snapshot.id == run.snapshot_id)
                runs[run.id] = session.scalars(select(Snapshot).where(own).order_by(Snapshot.id)).all()
            yield from runs[run.id]
            waiting.append(run.checkpoint_id)
        if one.parent_id is not None:
            waiting.append(one.parent_id)


def begin(session: Session, evaluation: Evaluation) -> Contamination | None:
    """The evaluation's search, queued unless it is under way; None where no contestant was trained here."""
    found = trained_on(session, _ids(evaluation))
    if not found:
        return None
    row = of(session, evaluation, lock=True)
    if row is None:
        row = Contamination(project_id=evaluation.project_id, evaluation_id=evaluation.id)
        session.add(row)
    elif row.state not in ENDED:
        return row
    row.state, row.stop_requested, row.attempts, row.done, row.result = State.queued, False, 0, 0, None
    row.reason = row.remedy = row.finished_at = None
    row.total = examples(found.values())
    session.flush()
    ring(session, "contaminations")
    return row


def ask(session: Session, evaluation: Evaluation) -> Contamination:
    """The same on demand.  Raises NothingTrained."""
    row = begin(session, evaluation)
    if row is None:
        raise NothingTrained(NOBODY, remedy="Compare checkpoints of runs that were trained or reported here.")
    return row


def examples(found: Any) -> int:
    """How many training examples all these snapshots hold, each read once."""
    each = {row.path: int(row.counts.get("train", 0)) for rows in found for row in rows}
    return sum(each.values())


def of(session: Session, evaluation: Evaluation, *, lock: bool = False) -> Contamination | None:
    """The evaluation's search."""
    query = select(Contamination).where(Contamination.evaluation_id == evaluation.id)
    return session.scalars(query.with_for_update() if lock else query).first()


def prompts(session: Session, evaluation_id: uuid.UUID) -> list[tuple[str, list[dict[str, Any]]]]:
    """Hash and messages of every distinct prompt."""
    query = select(Match.prompt_hash, Match.prompt).where(Match.evaluation_id == evaluation_id)
    rows = session.execute(query.ext(distinct_on(Match.prompt_hash)).order_by(Match.prompt_hash))
    return [(row[0], row[1]) for row in rows]


def store(
    session: Session, row: Contamination, hashes: Sequence[str], readable: Any, found: Mapping[uuid.UUID, Seen]
) -> None:
    """Keep what was found: the prompts that each contestant has seen, and their numbers."""
    session.execute(delete(SeenPrompt).where(SeenPrompt.evaluation_id == row.evaluation_id))
    told = {}
    for checkpoint_id, seen in found.items():
        places = np.flatnonzero(seen.any).tolist()
        rows = [
            {
                "evaluation_id": row.evaluation_id,
                "checkpoint_id": checkpoint_id,
                "prompt_hash": hashes[place],
                "exact": bool(seen.exact[place]),
                "share": float(seen.share[place]),
            }
            for place in places
        ]
        for start in range(0, len(rows), AT_ONCE):
            session.execute(insert(SeenPrompt), rows[start : start + AT_ONCE])
        exact = int(seen.exact.sum())
        told[str(checkpoint_id)] = {"exact": exact, "overlapping": len(places) - exact}
    row.result = {"prompts": int(readable.sum()), "contestants": told}


def seen(session: Session, evaluation: Evaluation) -> Prompts:
    """Hashes of the prompts that each contestant was trained on."""
    found: dict[uuid.UUID, set[str]] = defaultdict(set)
    query = select(SeenPrompt.checkpoint_id, SeenPrompt.prompt_hash).where(SeenPrompt.evaluation_id == evaluation.id)
    for checkpoint_id, prompt in session.execute(query):
        found[checkpoint_id].add(prompt)
    return found


def rates(met: Met, prompts: Sequence[str], seen: Prompts, ids: Sequence[uuid.UUID], rule: Rule) -> list[CleanOut]:
    """Win rates against the baseline with and without the prompts that either side was trained on."""
    known = [np.isin(prompts, list(seen.get(one, ()))) for one in ids] if seen else []
    found = []
    for one in range(1, len(known)):
        prompt, score = scored(met, one)
        dirty = (known[one] | known[BASE])[prompt]
        if dirty.any():
            told = [rate_out(rated(prompt[part], score[part], **rule._asdict())) for part in (dirty, ~dirty)]
            found.append(CleanOut(contestant=ids[one], seen=told[0], unseen=told[1]))
    return found


def read(session: Session, evaluation: Evaluation) -> ContaminationOut:
    """What is known, in numbers and words."""
    ids = _ids(evaluation)
    known, row = trained_on(session, ids), of(session, evaluation)
    items = _items(session, row, known) if row is not None and row.result else []
    return ContaminationOut(
        state=row.state if row else None,
        reason=row.reason if row else None,
        remedy=row.remedy if row else None,
        done=row.done if row else 0,
        total=row.total if row else 0,
        trained=len(known),
        items=items,
        words=_words(row, items, len(known), len(ids)),
    )


def _words(row: Contamination | None, items: Sequence[SeenOut], trained: int, contestants: int) -> str:
    if not trained:
        return NOBODY
    if row is None:
        return UNASKED
    if row.state not in ENDED:
        return UNDER_WAY
    if row.result is None:
        return " ".join(part for part in (row.reason, row.remedy) if part)
    left = contestants - trained
    others = OTHERS.format(count=f"the {left} contestants" if left > 1 else "the one contestant") if left else ""
    return (SOME if any(one.exact + one.overlapping for one in items) else NONE) + others


def _items(session: Session, row: Contamination, known: Mapping[uuid.UUID, Sequence[Snapshot]]) -> list[SeenOut]:
    assert row.result is not None  # noqa: S101  (the caller looked)
    datasets = {one.dataset_id for some in known.values() for one in some}
    names = dict(session.execute(select(Dataset.id, Dataset.name).where(Dataset.id.in_(datasets))).all())
    called = contestants.named(session, known)
    total = int(row.result["prompts"])
    found = []
    for one, snapshots in known.items():
        if (own := row.result["contestants"].get(str(one))) is None:
            continue
        count = own["exact"] + own["overlapping"]
        found.append(
            SeenOut(
                contestant=one,
                snapshots=[
                    TrainedOnOut(snapshot_id=each.id, dataset_id=each.dataset_id, dataset=names[each.dataset_id])
                    for each in snapshots
                ],
                prompts=total,
                exact=own["exact"],
                overlapping=own["overlapping"],
                share=count / total if total else None,
                words=_sentence(called[one].name, total, own["exact"], own["overlapping"]),
            )
        )
    return found


def _sentence(name: str, total: int, exact: int, overlapping: int) -> str:
    count = exact + overlapping
    if not total:
        return "The prompts are empty, so none can be looked for."
    if not count:
        return f"None of the {total:,} prompts stands in what “{name}” was trained on."
    stand = "stands" if count == 1 else "stand"
    return (
        f"{count:,} of {total:,} prompts ({count / total:.1%}) {stand} in what “{name}” was trained on:"
        f" {exact:,} word for word, {overlapping:,} by overlap."
    )


def _ids(evaluation: Evaluation) -> list[uuid.UUID]:
    return [uuid.UUID(one) for one in evaluation.contestants]


def sweep(session: Session) -> int:
    """Queue again what a dead worker left, once; afterwards it has failed.  Returns how many rows that were."""
    remedy = "The machine may lack memory for so many prompts."
    return len(retry_silent(session, Contamination, "contaminations", MOST_ATTEMPTS, remedy))
