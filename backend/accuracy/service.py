"""Accuracy of judges on labelled pairs: asked for, watched and stopped here, measured by a worker."""

import uuid
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from heapq import nsmallest
from typing import Any

from sqlalchemy import Text, cast, select
from sqlalchemy.orm import Session

from alignment.chat import UnsupportedContent, text_of
from alignment.formats.preference import Policy, decide
from backend import paging, work
from backend.accounts.models import User
from backend.accuracy.measuring import Pair
from backend.accuracy.models import Accuracy
from backend.accuracy.schemas import AccuracyIn, AccuracyOut
from backend.checkpoints.models import Checkpoint
from backend.datasets import reading
from backend.datasets import service as datasets
from backend.datasets.models import Dataset, Item
from backend.errors import Conflict, Invalid, NotFound
from backend.evaluations import asked, contestants, judging
from backend.evaluations.said import ORDERS
from backend.evaluations.schemas import CheckpointBrief, LimitsIn
from backend.evaluations.sizing import refuse_unpriced
from backend.projects.models import Project
from backend.queue import ring

AGAIN = "Let it go on: what is decided already is kept."
POLICY = Policy()


class NoLabelledPairs(Invalid):
    title = "No labelled pairs"


class NotStopped(Conflict):
    title = "Not stopped"


def request(session: Session, project: Project, user: User, dataset_id: uuid.UUID, body: AccuracyIn) -> Accuracy:
    """A queued row; a worker is rung once the transaction commits.

    Raises NotFound, NoLabelledPairs, BadJudge, WeightsGone, WritesNothing, TemplateMissing, NoPrice.
    """
    dataset = datasets.find(session, project, dataset_id)
    if dataset.kind != "paired":
        raise NoLabelledPairs(
            f"“{dataset.name}” holds no pairs, so nobody can be right about them.",
            field="dataset_id",
            remedy="Choose a dataset of pairs, or convert it into one.",
        )
    judge = asked.settled(session, project, judging.resolve(body.judge))
    if not judge.automatic:
        raise judging.BadJudge(
            "People are who made the labels.", field="judge.name", remedy="Choose a judge that decides by itself."
        )
    models = asked.models(session, project, judge)
    if body.limits is not None:
        refuse_unpriced(models.values(), body.limits)
    row = Accuracy(
        project_id=project.id,
        dataset_id=dataset.id,
        judge=judge.model_dump(mode="json"),
        pairs={"split": body.split, "limit": body.limit, "seed": body.seed},
        limits=body.limits.model_dump() if body.limits else None,
        created_by=user.id,
    )
    session.add(row)
    session.flush()
    ring(session, "accuracies")
    return row


def page(session: Session, project: Project, dataset_id: uuid.UUID, cursor: str | None, limit: int) -> Any:
    """Those of a dataset, newest first, and the cursor of the next page.  Raises NotFound."""
    dataset = datasets.find(session, project, dataset_id)
    return paging.page(session, select(Accuracy).where(Accuracy.dataset_id == dataset.id), Accuracy.id, cursor, limit)


def page_of(session: Session, project: Project, checkpoint: Checkpoint, cursor: str | None, limit: int) -> Any:
    """Those whose judge asks a checkpoint, newest first, and the cursor of the next page."""
    query = select(Accuracy).where(
        Accuracy.project_id == project.id, cast(Accuracy.judge, Text).contains(str(checkpoint.id))
    )
    return paging.page(session, query, Accuracy.id, cursor, limit)


def find(session: Session, project: Project, row_id: uuid.UUID, *, lock: bool = False) -> Accuracy:
    """Raises NotFound."""
    row = session.get(Accuracy, row_id, with_for_update=lock)
    if row is None or row.project_id != project.id:
        raise NotFound.of("measured accuracy")
    return row


def cancel(session: Session, project: Project, row_id: uuid.UUID) -> Accuracy:
    """Ask it to stop.  Raises AlreadyEnded."""
    row = find(session, project, row_id, lock=True)
    work.request_stop(row)
    return row


def resume(session: Session, project: Project, row_id: uuid.UUID, limits: LimitsIn | None = None) -> Accuracy:
    """Queue what failed or was cancelled once more: what is decided is not asked again.  `limits` replace the old ones.

    Raises NotStopped, and what `request` does of the judge.
    """
    row = find(session, project, row_id, lock=True)
    if row.state not in (work.State.failed, work.State.cancelled):
        raise NotStopped(f"This work is {row.state}.", remedy="Only what failed or was cancelled can go on.")
    models = asked.models(session, project, judging.resolve(row.judge))
    if limits is not None:
        refuse_unpriced(models.values(), limits)
        row.limits = limits.model_dump()
    row.state, row.stop_requested = work.State.queued, False
    row.reason = row.remedy = row.finished_at = None
    session.flush()
    ring(session, "accuracies")
    return row


def sweep(session: Session) -> int:
    """End those whose worker is gone; returns how many."""
    return len(work.end_silent(session, Accuracy, "The worker that measured it was killed.", AGAIN))


def out(session: Session, rows: Sequence[Accuracy]) -> list[AccuracyOut]:
    """The rows as answers, with the names of dataset and models."""
    ids = {one for row in rows for one in judging.asked(row.judge).values()}
    known = contestants.named(session, ids)
    wanted = select(Dataset.id, Dataset.name).where(Dataset.id.in_({row.dataset_id for row in rows}))
    names = {row[0]: row[1] for row in session.execute(wanted)}
    return [_out(row, known, names[row.dataset_id]) for row in rows]


def _out(row: Accuracy, known: dict[uuid.UUID, Checkpoint], dataset: str) -> AccuracyOut:
    stored = {name: getattr(row, name) for name in AccuracyOut.model_fields if name not in ("dataset", "judge_models")}
    models = {
        path: CheckpointBrief.model_validate(known[one])
        for path, one in judging.asked(row.judge).items()
        if one in known
    }
    return AccuracyOut(**stored, dataset=dataset, judge_models=models)


def read(session: Session, row: Accuracy) -> tuple[list[Pair], dict[str, int]]:
    """The labelled pairs that a row is about, drawn by its seed, and why others are left out."""
    pairs: list[Pair] = []
    left_out: Counter[str] = Counter()
    split = row.pairs["split"]
    rows = session.execute(select(Item.position, Item.id, Item.prompt_hash).where(Item.dataset_id == row.dataset_id))
    places = {position: (item_id, prompt_hash) for position, item_id, prompt_hash in rows}
    for judged in reading.walk(session, row.dataset_id):
        if split is not None and judged.split != split:
            continue
        decision = decide(judged.item, POLICY)
        if isinstance(decision, str):
            left_out[decision] += 1
            continue
        try:
            first, second = (text_of(one.get("content") or "") for one in judged.item.responses)
        except UnsupportedContent:
            left_out["not_text"] += 1
            continue
        subset = (judged.item.facts.get("meta") or {}).get("subset")
        name = subset if isinstance(subset, str) else ""
        prompt = [dict(message) for message in judged.item.prompt]
        item_id, prompt_hash = places[judged.item.line]
        prefers_first = decision.responses[0] is judged.item.responses[0]
        pairs.append(Pair(item_id, judged.item.line, prompt_hash, name, prompt, (first, second), prefers_first))
    return _drawn(pairs, row.pairs["limit"], row.pairs["seed"]), dict(left_out)


def _drawn(pairs: Sequence[Pair], limit: int, seed: int) -> list[Pair]:
    """So many of them in item order, each by its own lot: one that goes or comes changes at most one other."""

    def lot(pair: Pair) -> bytes:
        return sha256(f"{seed}:{pair.position}".encode()).digest()

    return sorted(nsmallest(limit, pairs, key=lot), key=lambda pair: pair.position)


def verdicts(pairs: Sequence[Pair], voices: int) -> int:
    """How many there will be."""
    return len(pairs) * ORDERS * voices
