"""What else verdicts amount to: whether one may stop, circles among contestants, and a ranking at equal style."""

import uuid
from collections.abc import Mapping, Sequence

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from alignment.statistics.cycles import cycles
from alignment.statistics.features import STYLES, measure, shares
from alignment.statistics.ranking import Met, Ranking
from alignment.statistics.stopping import stopping
from alignment.statistics.style import styled
from backend.evaluations.models import Evaluation, Match
from backend.evaluations.report_schemas import CircleOut, CyclesOut, EffectOut, StandingOut, StoppingOut, StyledOut
from backend.evaluations.said import Rule, plain

MOST_ANSWERS = 10_000
"""Answers whose style is read, of all contestants together: those to the first prompts."""
UNKNOWN = "The style of answers that met is not known."

Styles = Mapping[uuid.UUID, Mapping[str, Sequence[float]]]
"""How much of each of STYLES a contestant's answer has, by the hash of its prompt."""


def styles(session: Session, evaluation: Evaluation) -> Styles:
    """The style of every contestant's answers; every contestant met the baseline, which is side a of those matches."""
    contestants = [uuid.UUID(one) for one in evaluation.contestants]
    sides = (one["content"].astext for one in (Match.response_a, Match.response_b))
    query = select(Match.prompt_hash, Match.checkpoint_b, *sides).where(Match.evaluation_id == evaluation.id)
    query = query.where(Match.checkpoint_a == contestants[0], Match.position < MOST_ANSWERS // len(contestants))
    found: dict[uuid.UUID, dict[str, Sequence[float]]] = {one: {} for one in contestants}
    for prompt, other, base_text, text in session.execute(query):
        for one, own in ((contestants[0], base_text), (other, text)):
            if own is not None and prompt not in found[one]:
                found[one][prompt] = measure(own, STYLES)
    return found


def stop(scores: Sequence[float], level: float) -> StoppingOut:
    """Whether these prompts, in the order in which they were decided, settle who is better."""
    found = stopping(scores, level=level)
    return StoppingOut(**{name: plain(value) for name, value in found._asdict().items()})


def circles(met: Met, ranking: Ranking, contestants: Sequence[uuid.UUID], rule: Rule) -> CyclesOut | None:
    """Circles among the contestants; None where no three of them have met."""
    size = len(contestants)
    low, high = np.minimum(met.first, met.second), np.maximum(met.first, met.second)
    pairs = np.unique(np.stack([low, high, met.prompt]), axis=1)
    prompts = np.zeros((size, size), dtype=np.intp)
    np.add.at(prompts, (pairs[0], pairs[1]), 1)
    found = cycles(ranking.observed, prompts + prompts.T, level=rule.level)
    if not found.triples:
        return None
    named = [CircleOut(contestants=[contestants[place] for place in one.contestants], p=one.p) for one in found.circles]
    return CyclesOut(
        share=found.share, low=found.low, high=found.high, triples=found.triples, circles=named, level=found.level
    )


def at_equal_style(
    met: Met, prompts: Sequence[str], contestants: Sequence[uuid.UUID], known: Styles, rule: Rule
) -> StyledOut:
    """The ranking of matches whose answers' style is known, `prompts` (M,) by hash, with all styles set equal."""
    sides = [
        [known.get(contestants[place], {}).get(prompt) for place, prompt in zip(side.tolist(), prompts, strict=True)]
        for side in (met.first, met.second)
    ]
    kept = [place for place, two in enumerate(zip(*sides, strict=True)) if None not in two]
    if not kept:
        return StyledOut(standings=[], effects=[], n=0, prompts=0, level=rule.level, reason=UNKNOWN)
    first, second = (np.array([side[place] for place in kept], dtype=np.float64) for side in sides)
    part = Met(met.prompt[kept], met.first[kept], met.second[kept], met.score[kept])
    found = styled(part, len(contestants), shares(first, second), STYLES, level=rule.level)
    standings = [
        StandingOut(
            **{name: plain(value) for name, value in one._asdict().items()}
            | {"contestant": contestants[one.contestant]}
        )
        for one in found.standings
    ]
    effects = [EffectOut(**{name: plain(value) for name, value in one._asdict().items()}) for one in found.effects]
    return StyledOut(
        standings=standings, effects=effects, n=found.n, prompts=found.prompts, level=found.level, reason=found.reason
    )
