"""An evaluation in one line: its last contestant against its baseline."""

import math
import uuid

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from alignment.statistics import Outcome, win_rate
from backend.checkpoints.models import Checkpoint
from backend.evaluations import judging, statements
from backend.evaluations.models import Evaluation, Match, Source, Verdict
from backend.evaluations.said import PEOPLE, Said, query, scores
from backend.home.schemas import WinRateLine


def best(session: Session, evaluation: Evaluation) -> WinRateLine | None:
    """The last contestant's win rate against the first; None while nothing is decided, when a checkpoint is gone, and
    by a judge that goes by the place alone."""
    baseline, contestant = uuid.UUID(evaluation.contestants[0]), uuid.UUID(evaluation.contestants[-1])
    named = select(Checkpoint).where(Checkpoint.id.in_((baseline, contestant)))
    checkpoints = {found.id: found for found in session.scalars(named)}
    if len(checkpoints) < 2:
        return None
    rate = win_rate(_outcomes(session, evaluation, baseline, contestant), seed=evaluation.seed)
    judge = str(evaluation.judge.get("name", PEOPLE))
    if math.isnan(rate.rate) or statements.meaningless(session, evaluation, judge, rate):
        return None
    return WinRateLine(
        evaluation_id=evaluation.id,
        evaluation=evaluation.name,
        contestant=checkpoints[contestant].name,
        baseline=checkpoints[baseline].name,
        judge=judging.called(session, evaluation.judge, judge),
        toy=checkpoints[contestant].toy,
        rate=rate.rate,
        low=rate.low,
        high=rate.high,
        n=rate.n,
        level=rate.level,
    )


def _outcomes(session: Session, evaluation: Evaluation, baseline: uuid.UUID, contestant: uuid.UUID) -> list[Outcome]:
    """One outcome a match, as the report counts what the evaluation's judge said."""
    met = or_(
        (Match.checkpoint_a == contestant) & (Match.checkpoint_b == baseline),
        (Match.checkpoint_a == baseline) & (Match.checkpoint_b == contestant),
    )
    judge = evaluation.judge["name"]
    of_judge = Verdict.source == Source.person if judge == PEOPLE else Verdict.judge == judge
    said = [Said(*row) for row in session.execute(query().where(Match.evaluation_id == evaluation.id, met, of_judge))]
    known = {verdict.match_id: verdict for verdict in said}
    return [
        Outcome(known[match_id].prompt_hash, score if known[match_id].a == contestant else 1 - score)
        for match_id, score in scores(said).items()
    ]
