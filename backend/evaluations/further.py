"""What else verdicts amount to: whether one may stop, circles among contestants, and a ranking at equal style."""

import uuid
from collections.abc import Sequence

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from alignment.statistics.cycles import cycles
from alignment.statistics.features import STYLES, measure, shares
from alignment.statistics.ranking import Met, Ranking
from alignment.statistics.stopping import stopping
from alignment.statistics.style import styled
from backend.evaluations.columns import Floats, Places
from backend.evaluations.models import Evaluation, Match
from backend.evaluations.report_schemas import CircleOut, CyclesOut, EffectOut, StandingOut, StoppingOut, StyledOut
from backend.evaluations.said import Rule, plain

MOST_ANSWERS = 10_000
"""Answers whose style is read, of all contestants together: those to the first prompts."""
UNKNOWN = "The style of answers that met is not known."


def styles(session: Session, evaluation: Evaluation, prompts: Sequence[str]) -> Floats:
    """How much of each of STYLES a contestant's answer to each of `prompts`, which are hashes, has: (contestants,
    prompts, styles), nan where it was not read. Every contestant met the baseline, which is side a of those matches.
    """
    contestants = [uuid.UUID(one) for one in evaluation.contestants]
    seat, place = ({one: at for at, one in enumerate(all)} for all in (contestants, prompts))
    sides = (one["content"].astext for one in (Match.response_a, Match.response_b))
    query = select(Match.prompt_hash, Match.checkpoint_b, *sides).where(Match.evaluation_id == evaluation.id)
    query = query.where(Match.checkpoint_a == contestants[0], Match.position < MOST_ANSWERS // len(contestants))
    known: dict[tuple[int, int], list[float]] = {}
    for prompt, other, base_text, text in session.execute(query):
        if prompt not in place:
            continue
        for one, own in ((0, base_text), (seat[other], text)):
            if own is not None and (one, place[prompt]) not in known:
                known[one, place[prompt]] = measure(own, STYLES)
    found = np.full((len(contestants), len(prompts), len(STYLES)), np.nan)
    if known:
        found[tuple(np.array(list(known)).T)] = list(known.values())
    return found


def stop(scores: Floats, level: float) -> StoppingOut:
    """Whether these prompts, in the order in which they were decided, settle who is better."""
    found = stopping(scores, level=level)
    return StoppingOut(**{name: plain(value) for name, value in found._asdict().items()})


def circles(met: Met, ranking: Ranking, contestants: Sequence[uuid.UUID], rule: Rule) -> CyclesOut | None:
    """Circles among the contestants; None where no three of them have met."""
    size = len(contestants)
    pair = np.minimum(met.first, met.second) * size + np.maximum(met.first, met.second)
    many = int(met.prompt.max()) + 1
    each = np.sort(pair * many + met.prompt)
    each = each[np.flatnonzero(np.diff(each, prepend=-1))]
    prompts = np.bincount(each // many, minlength=size**2).reshape(size, size)
    found = cycles(ranking.observed, prompts + prompts.T, level=rule.level)
    if not found.triples:
        return None
    named = [CircleOut(contestants=[contestants[place] for place in one.contestants], p=one.p) for one in found.circles]
    return CyclesOut(
        share=found.share, low=found.low, high=found.high, triples=found.triples, circles=named, level=found.level
    )


def at_equal_style(met: Met, prompts: Places, contestants: Sequence[uuid.UUID], known: Floats, rule: Rule) -> StyledOut:
    """The ranking of matches whose answers' style is known, with all styles set equal; `known` are those of
    contestants' answers to `prompts` (M,), as `styles` gives them."""
    kept = np.flatnonzero(~np.isnan(known[met.first, prompts, 0] + known[met.second, prompts, 0]))
    if not len(kept):
        return StyledOut(standings=[], effects=[], n=0, prompts=0, level=rule.level, reason=UNKNOWN)
    first, second = (known[side[kept], prompts[kept]] for side in (met.first, met.second))
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
