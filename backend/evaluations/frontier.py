"""Reward against KL, across checkpoints, runs and evaluations that can stand beside each other."""

import math
import uuid
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from alignment.statistics import frontier as statistics
from alignment.statistics import mean
from backend.checkpoints.models import Checkpoint
from backend.evaluations import answers, columns, contestants, divergences, findings, service, tables
from backend.evaluations.frontier_schemas import (
    MOST_RUNS,
    FrontierAsked,
    FrontierOut,
    FrontierPointOut,
    MatchedOut,
    RewardOut,
    UnjoinedOut,
)
from backend.evaluations.models import Evaluation, Match
from backend.evaluations.said import Rule, plain
from backend.evaluations.schemas import CheckpointBrief
from backend.projects.models import Project
from backend.runs.models import Run

WIN = "win"
EVEN = 0.5
NO_KL = "KL is not measured yet: let it be read under “KL to a reference”."
NO_REWARD = "No contestant has both a KL and this reward."
MANY_RUNS = "Of {count} runs the first {most} are compared at one KL."
MIXED = (
    "Of some answers only the log-ratio is known, so KL is the mean log-ratio (k1). Answers read long ago can be"
    " measured again for the exact; of models with different numbers of logits there is none."
)


class Place(NamedTuple):
    """A contestant of one evaluation: its KL and its reward by the hash of the prompt, and the reward as it is told."""

    evaluation: Evaluation
    checkpoint: Checkpoint
    kl: Mapping[str, tuple[float | None, float]]
    reward: Mapping[str, float]
    told: RewardOut


def read(session: Session, project: Project, evaluation: Evaluation, wanted: FrontierAsked) -> FrontierOut:
    """The points, the front, and every two runs at one KL.  Raises NotFound for an evaluation of nowhere."""
    others = [service.find(session, project, one) for one in dict.fromkeys(wanted.others) if one != evaluation.id]
    asked = divergences.asked(session, evaluation)
    own = columns.of_evaluation(session, evaluation)
    judge = wanted.judge or str(evaluation.judge["name"])
    names = contestants.named(session, asked)
    empty = FrontierOut(
        reference=None,
        references=[CheckpointBrief.model_validate(names[one]) for one in asked],
        reward=wanted.reward,
        rewards=_rewards(session, evaluation, own),
        judge=judge,
        estimator="exact",
        points=[],
        began=[],
        matched=[],
        unjoined=[],
        warnings=[],
        level=wanted.level,
        reason=NO_KL,
    )
    base = uuid.UUID(evaluation.contestants[0])
    reference = wanted.reference_id or (base if base in asked else next(iter(asked), None))
    if reference is None or reference not in asked:
        return empty
    rule = Rule(level=wanted.level, seed=evaluation.seed)
    places, unjoined = _places(session, evaluation, own, reference, wanted.reward, judge, rule), []
    for other in others:
        why = _unlike(session, evaluation, other, reference, wanted.reward)
        why = why or _by_place(theirs := columns.of_evaluation(session, other), wanted.reward, judge)
        if why is None:
            here = {one.checkpoint.id for one in places}
            more = _places(session, other, theirs, reference, wanted.reward, judge, rule)
            places += [one for one in more if one.checkpoint.id not in here]
        else:
            unjoined.append(UnjoinedOut(evaluation_id=other.id, name=other.name, reason=why))
    exact = all(value is not None for one in places for value, _ in one.kl.values())
    facts = {"reference": CheckpointBrief.model_validate(names[reference]), "unjoined": unjoined}
    if not places:
        return empty.model_copy(update={**facts, "reason": _by_place(own, wanted.reward, judge) or NO_REWARD})
    runs = _runs(session, places)
    curves = _curves(places, runs, reference, exact=exact)
    warnings = [] if exact else [MIXED]
    if len(curves) > MOST_RUNS:
        warnings.append(MANY_RUNS.format(count=len(curves), most=MOST_RUNS))
    told = {
        **facts,
        "estimator": "exact" if exact else "k1",
        "points": _points(places, runs, exact=exact, level=wanted.level),
        "began": [run.id for run in runs.values() if run.checkpoint_id == reference],
        "matched": _matched(curves, wanted, evaluation.seed),
        "warnings": warnings + divergences.warnings(evaluation.sampling),
        "reason": None,
    }
    return empty.model_copy(update=told)


def _rewards(session: Session, evaluation: Evaluation, read: columns.Read) -> list[str]:
    """What can stand against KL: the win rate, and what judges measured by name."""
    known = {name for own in answers.measured(session, evaluation, read).values() for name in own}
    return [WIN, *(f"score:{name}" for name in sorted(known))]


def _places(
    session: Session,
    evaluation: Evaluation,
    verdicts: columns.Read,
    reference: uuid.UUID,
    reward: str,
    judge: str,
    rule: Rule,
) -> list[Place]:
    """The contestants that have both; the reference itself has moved by nothing."""
    read = divergences.asked(session, evaluation).get(reference, {})
    kl = {one: divergences.answers(found) for one, found in read.items()}
    ids = [uuid.UUID(one) for one in evaluation.contestants]
    by_prompt, told = _earned(session, evaluation, verdicts, ids, reward, judge, rule)
    if reference in ids:
        kl[reference] = dict.fromkeys(by_prompt.get(reference, {}), (0.0, 0.0))
    known = contestants.named(session, ids)
    return [
        Place(evaluation, known[one], kl[one], by_prompt[one], told[one])
        for one in ids
        if kl.get(one) and by_prompt.get(one)
    ]


Earned = tuple[dict[uuid.UUID, dict[str, float]], dict[uuid.UUID, RewardOut]]


def _earned(
    session: Session,
    evaluation: Evaluation,
    read: columns.Read,
    ids: Sequence[uuid.UUID],
    reward: str,
    judge: str,
    rule: Rule,
) -> Earned:
    """The reward of each contestant by prompt, and as it is told."""
    if reward == WIN:
        return _won(read, ids, judge, rule)
    name = reward.removeprefix("score:")
    own = {one: found[name] for one, found in answers.measured(session, evaluation, read).items() if name in found}
    told = {}
    for one, values in own.items():
        found = mean(list(values), list(values.values()), level=rule.level, seed=rule.seed)
        told[one] = RewardOut(
            value=found.mean, low=plain(found.low), high=plain(found.high), n=found.n, prompts=found.prompts
        )
    return own, told


def _by_place(read: columns.Read, reward: str, judge: str) -> str | None:
    """Why the win rate by this judge is no reward, where it goes by the place alone; None of every other reward."""
    return tables.by_place(read.voices.get(judge, columns.SILENT), read.matches) if reward == WIN else None


def _won(read: columns.Read, ids: Sequence[uuid.UUID], judge: str, rule: Rule) -> Earned:
    """Wins against the baseline, a tie half of one; the baseline itself is even."""
    base = ids[0]
    voice = read.voices.get(judge, columns.SILENT)
    if _by_place(read, WIN, judge):
        return {}, {}
    met = tables.decided(voice, read.matches)
    own: dict[uuid.UUID, dict[str, float]] = {}
    for place, one in enumerate(ids[1:], 1):
        prompts, means = findings.means(findings.scored(met, place))
        own[one] = {read.matches.prompts[prompt]: float(mean) for prompt, mean in zip(prompts, means, strict=True)}
    every = {prompt for values in own.values() for prompt in values}
    own[base] = dict.fromkeys(every, EVEN)
    told = {
        pair.first: RewardOut(
            value=pair.win_rate.rate, **pair.win_rate.model_dump(include={"low", "high", "n", "prompts"})
        )
        for pair in tables.pairs(voice, read.matches, met, rule)
        if pair.second == base and pair.win_rate.rate is not None
    }
    told[base] = RewardOut(value=EVEN, low=None, high=None, n=0, prompts=len(every))
    return {one: values for one, values in own.items() if one in told and values}, told


def _unlike(
    session: Session, evaluation: Evaluation, other: Evaluation, reference: uuid.UUID, reward: str
) -> str | None:
    """Why points of the other evaluation cannot stand beside these; None where they can."""
    own, theirs = (_prompts(session, one) for one in (evaluation, other))
    if own != theirs:
        return f"It asks other prompts: {len(own & theirs)} of {len(own | theirs)} are the same."
    if evaluation.sampling != other.sampling:
        return "Its answers were drawn with other settings."
    if evaluation.judge != other.judge:
        return "Its judge is another one, or has other settings."
    if reward == WIN and evaluation.contestants[0] != other.contestants[0]:
        return "Its win rates are against another baseline."
    if reference not in divergences.asked(session, other):
        return "KL to this reference is not measured there."
    return None


def _prompts(session: Session, evaluation: Evaluation) -> set[str]:
    return set(session.scalars(select(Match.prompt_hash).where(Match.evaluation_id == evaluation.id).distinct()))


def _runs(session: Session, places: Sequence[Place]) -> dict[uuid.UUID, Run]:
    ids = {one.checkpoint.run_id for one in places}
    return {row.id: row for row in session.scalars(select(Run).where(Run.id.in_(ids)).order_by(Run.id))}


def _points(
    places: Sequence[Place], runs: Mapping[uuid.UUID, Run], *, exact: bool, level: float
) -> list[FrontierPointOut]:
    moved = [divergences.of(np.array(_kl(one, exact=exact)), level, 0.0 if exact else -math.inf) for one in places]
    names = {run_id: run.name for run_id, run in runs.items()}
    best = statistics.front([(kl.value or 0.0, one.told.value) for kl, one in zip(moved, places, strict=True)])
    return [
        FrontierPointOut(
            evaluation_id=one.evaluation.id,
            contestant=CheckpointBrief.model_validate(one.checkpoint),
            run_id=one.checkpoint.run_id,
            run=names.get(one.checkpoint.run_id) if one.checkpoint.run_id else None,
            step=one.checkpoint.step,
            kl=kl,
            reward=one.told,
            front=on_front,
        )
        for one, kl, on_front in zip(places, moved, best, strict=True)
    ]


def _kl(place: Place, *, exact: bool) -> list[float]:
    return [_of(value, exact=exact) for value in place.kl.values()]


def _of(value: tuple[float | None, float], *, exact: bool) -> float:
    return value[0] if exact and value[0] is not None else value[1]


def _curves(
    places: Sequence[Place], runs: Mapping[uuid.UUID, Run], reference: uuid.UUID, *, exact: bool
) -> dict[uuid.UUID, statistics.Curve]:
    """The places of each run by prompt; a run that began with the reference begins at no KL, with what that earns."""
    prompts = sorted({prompt for one in places for prompt in (*one.kl, *one.reward)})
    start = [one for one in places if one.checkpoint.id == reference][:1]
    found = {}
    for run in runs.values():
        own = [one for one in places if one.checkpoint.run_id == run.id]
        own = [*(start if run.checkpoint_id == reference else []), *own]
        kl = [[_of(one.kl.get(prompt, (None, math.nan)), exact=exact) for prompt in prompts] for one in own]
        reward = [[one.reward.get(prompt, math.nan) for prompt in prompts] for one in own]
        found[run.id] = statistics.Curve(np.array(kl), np.array(reward))
    return found


def _matched(curves: Mapping[uuid.UUID, statistics.Curve], wanted: FrontierAsked, seed: int) -> list[MatchedOut]:
    ids = list(curves)[:MOST_RUNS]
    found = statistics.matched([curves[one] for one in ids], at=wanted.at, level=wanted.level, seed=seed)
    return [MatchedOut(**one._asdict() | {"first": ids[one.first], "second": ids[one.second]}) for one in found]
