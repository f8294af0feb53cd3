"""What the card of an export tells, gathered from the rows: lineage, data, training, win rates."""

import uuid
from collections import defaultdict
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from alignment.export.card import Ancestor, Card, Data, Result, Training, license_name
from alignment.export.markdown import read_front_matter
from backend import storage
from backend.checkpoints import service as checkpoints
from backend.checkpoints.models import Checkpoint
from backend.datasets.models import Dataset, Snapshot, SnapshotLabel
from backend.evaluations import columns, contestants, judging, statements, tables
from backend.evaluations.models import Evaluation, Match
from backend.evaluations.said import PEOPLE, Rule, Said, query
from backend.exports.models import Export
from backend.labels.models import Label
from backend.runs import mixture
from backend.runs.models import Run

LONGEST_CHAIN = 100
MOST_EVALUATIONS = 50


def card(session: Session, export: Export) -> Card:
    """The card of the export's checkpoint as things stand now."""
    checkpoint = session.get_one(Checkpoint, export.checkpoint_id)
    chain = _chain(session, checkpoint)
    runs = {one.id: session.get_one(Run, one.run_id) for one in chain if one.run_id}
    return Card(
        name=export.name,
        title=checkpoint.name,
        toy=checkpoint.toy,
        architecture=checkpoint.architecture,
        parameters=checkpoint.parameters,
        max_tokens=checkpoint.max_tokens,
        license=_license(chain[0]),
        ancestors=[_ancestor(one, runs.get(one.id)) for one in chain],
        trainings=[_training(session, runs[one.id]) for one in chain if one.id in runs],
        results=_results(session, checkpoint),
    )


def _chain(session: Session, checkpoint: Checkpoint) -> list[Checkpoint]:
    """The oldest ancestor first, the checkpoint itself last."""
    chain = [checkpoint]
    while chain[-1].parent_id is not None and len(chain) < LONGEST_CHAIN:
        parent = session.get(Checkpoint, chain[-1].parent_id)
        if parent is None:
            break
        chain.append(parent)
    return chain[::-1]


def _ancestor(one: Checkpoint, run: Run | None) -> Ancestor:
    return Ancestor(
        name=one.name, hub_id=one.hub_id, revision=one.revision, run=run.name if run else None, step=one.step
    )


def _license(root: Checkpoint) -> str | None:
    """What the hub said when the base was fetched, else what the card in its folder says."""
    if root.license or not checkpoints.available(root):
        return license_name(root.license)
    return license_name(read_front_matter(storage.outline(root.path) / "README.md").get("license"))


def _training(session: Session, run: Run) -> Training:
    objective = run.spec.get("objective")
    return Training(
        run=run.name,
        objective=objective if isinstance(objective, dict) else {"name": run.objective},
        spec=run.spec,
        data=[_data(session, part.snapshot.id) for part in mixture.of(session, run.id)],
    )


def _data(session: Session, snapshot_id: uuid.UUID) -> Data:
    snapshot = session.get_one(Snapshot, snapshot_id)
    counts = {name: count for name, count in snapshot.counts.items() if isinstance(count, int)}
    sources = session.execute(
        select(Label.source, func.count())
        .join(SnapshotLabel, SnapshotLabel.label_id == Label.id)
        .where(SnapshotLabel.snapshot_id == snapshot.id)
        .group_by(Label.source)
    )
    return Data(
        dataset=session.get_one(Dataset, snapshot.dataset_id).name,
        hash=snapshot.hash,
        counts=counts,
        sources={source.value: count for source, count in sources},
        policy=snapshot.policy_words,
    )


def _results(session: Session, checkpoint: Checkpoint) -> list[Result]:
    """Its win rates against every other contestant of its newest evaluations, those of each judge apart, and none of
    a judge that goes by the place alone."""
    took_part = (
        select(Evaluation)
        .where(Evaluation.project_id == checkpoint.project_id, Evaluation.contestants.contains([str(checkpoint.id)]))
        .order_by(Evaluation.id.desc())
        .limit(MOST_EVALUATIONS)
    )
    return [result for one in session.scalars(took_part) for result in _of_evaluation(session, one, checkpoint)]


def _of_evaluation(session: Session, evaluation: Evaluation, checkpoint: Checkpoint) -> list[Result]:
    met: dict[tuple[uuid.UUID, str], list[Said]] = defaultdict(list)
    involved = (Match.checkpoint_a == checkpoint.id) | (Match.checkpoint_b == checkpoint.id)
    for row in session.execute(query().where(Match.evaluation_id == evaluation.id, involved)):
        said = Said(*row)
        met[said.b if said.a == checkpoint.id else said.a, said.judge or PEOPLE].append(said)
    known = contestants.named(session, {other for other, _ in met})
    results = []
    for (other, judge), said_of_it in sorted(met.items(), key=str):
        matches, voice = columns.of(said_of_it, [other, checkpoint.id])
        rate = tables.pairs(voice, matches, tables.decided(voice, matches), Rule(seed=evaluation.seed))[0].win_rate
        if rate.rate is None or other not in known or statements.meaningless(session, evaluation, judge, rate):
            continue
        results.append(
            Result(
                evaluation=evaluation.name,
                against=known[other].name,
                judge=judging.called(session, evaluation.judge, judge),
                rate=rate.rate,
                low=rate.low,
                high=rate.high,
                n=rate.n,
                level=rate.level,
                prompts=_prompts(evaluation.prompts),
                toy=checkpoint.toy or known[other].toy,
                finished_at=evaluation.finished_at,
            )
        )
    return results


def _prompts(source: dict[str, Any]) -> str:
    """Which prompts were asked, in a few words."""
    if "dataset" not in source:
        return "typed prompts"
    split = source.get("split")
    return f"{source['dataset']}, {split} split" if split else f"{source['dataset']}, all splits (training data too)"
