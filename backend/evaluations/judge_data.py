"""What a judge said, match by match, as columns: one row of the database for each match, however many verdicts."""

import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Integer, and_, case, func, or_, select
from sqlalchemy.orm import Session

from alignment.judges.llm import UNREADABLE
from alignment.judges.panel import MEMBER, Panel
from alignment.statistics.features import FEATURES, measure
from backend.evaluations.models import Evaluation, Match, Source, Verdict

Floats = NDArray[np.float64]
MOST_MATCHES = 60_000
"""Matches that are read, the newest; 120 000 verdicts where both side orders were judged."""
MOST_READ = 1_000
"""Matches whose answers are read for what the judge likes, drawn by lot."""


class Judged(NamedTuple):
    """Matches that a judge looked at (M,). Numbers are nan where nothing was said, or an answer is missing.

    `straight` and `turned` are its probabilities that `a` wins, with `a` and with `b` shown first. `people` is the mean
    of people's votes, `others` that of everybody else's verdicts.
    """

    ids: list[uuid.UUID]
    prompt: list[str]
    a: list[uuid.UUID]
    b: list[uuid.UUID]
    length_a: Floats
    length_b: Floats
    straight: Floats
    turned: Floats
    verdicts: NDArray[np.int64]
    unreadable: NDArray[np.int64]
    people: Floats
    others: Floats

    @property
    def outcomes(self) -> tuple[Floats, Floats]:
        """1, 0.5 or 0 for `a` in each side order."""
        return outcome(self.straight), outcome(self.turned)

    @property
    def scores(self) -> Floats:
        """1, 0.5 or 0 for `a` where both orders were decided: a tie where they contradict each other."""
        straight, turned = self.outcomes
        return np.where(straight == turned, straight, 0.5 + 0 * (straight + turned))


def outcome(probability: Floats) -> Floats:
    """Who wins by a probability: 1, 0.5 or 0, and nan for none."""
    return np.asarray(0.5 + 0.5 * np.sign(probability - 0.5))


def alike(session: Session, evaluation: Evaluation) -> list[uuid.UUID]:
    """The evaluations of its project whose judge has the same settings, the newest first."""
    own = Evaluation.project_id == evaluation.project_id, Evaluation.judge == evaluation.judge
    return list(session.scalars(select(Evaluation.id).where(*own).order_by(Evaluation.id.desc())))


def read(session: Session, evaluations: Sequence[uuid.UUID], judge: str) -> tuple[Judged, bool]:
    """What `judge` said in `evaluations`, and whether older matches were left out."""
    mine = and_(Verdict.source == Source.judge, Verdict.judge == judge)
    won = case((Verdict.probability > 0.5, 1.0), (Verdict.probability == 0.5, 0.5), (Verdict.probability < 0.5, 0.0))
    person = Verdict.source == Source.person
    columns: list[Any] = [Match.id, Match.prompt_hash, Match.checkpoint_a, Match.checkpoint_b]
    columns += [func.char_length(one["content"].astext).cast(Integer) for one in (Match.response_a, Match.response_b)]
    columns += [func.max(Verdict.probability).filter(mine, Verdict.swapped.is_(turned)) for turned in (False, True)]
    columns += [func.count().filter(mine), func.count().filter(mine, Verdict.reason.in_(UNREADABLE))]
    others = and_(Verdict.judge != judge, ~Verdict.judge.startswith(MEMBER))  # the panel speaks for its members
    if judge.startswith(MEMBER):
        others = and_(others, Verdict.judge != Panel.name)  # which holds this member's own word
    columns += [func.avg(won).filter(person), func.avg(won).filter(or_(person, others))]
    query = select(*columns).join(Verdict).where(Match.evaluation_id.in_(evaluations)).group_by(Match.id)
    query = query.having(func.count().filter(mine) > 0).order_by(Match.id.desc()).limit(MOST_MATCHES + 1)
    rows = session.execute(query).all()
    columns = list(zip(*rows[:MOST_MATCHES], strict=True)) if rows else [()] * len(columns)
    names, numbers = [list(one) for one in columns[:4]], [np.array(one, dtype=np.float64) for one in columns[4:]]
    values: list[Any] = [*names, *numbers[:4], *(one.astype(np.int64) for one in numbers[4:6]), *numbers[6:]]
    return Judged(*values), len(rows) > MOST_MATCHES


def reasons(session: Session, evaluations: Sequence[uuid.UUID], judge: str) -> dict[str, int]:
    """Why verdicts of `judge` came to nothing, and how often, the commonest ten."""
    mine = Verdict.source == Source.judge, Verdict.judge == judge, Verdict.probability.is_(None)
    query = select(func.coalesce(Verdict.reason, "no reason"), func.count()).join(Match)
    query = query.where(Match.evaluation_id.in_(evaluations), *mine).group_by(Verdict.reason)
    return dict(session.execute(query.order_by(func.count().desc()).limit(10)).all())


def differences(session: Session, judged: Judged, seed: int) -> tuple[list[int], Floats]:
    """Places of matches drawn by lot, and how much more of each of `FEATURES` the answer of `a` has."""
    said = np.flatnonzero(~(np.isnan(judged.straight) & np.isnan(judged.turned)))
    if len(said) > MOST_READ:
        said = np.sort(np.random.default_rng(seed).choice(said, MOST_READ, replace=False))
    place = {judged.ids[one]: one for one in said.tolist()}
    sides = (one["content"].astext for one in (Match.response_a, Match.response_b))
    places, found = [], []
    for match_id, first, second in session.execute(select(Match.id, *sides).where(Match.id.in_(place))):
        if first is not None and second is not None:
            places.append(place[match_id])
            found.append(np.subtract(measure(first), measure(second)))
    return places, np.array(found).reshape(-1, len(FEATURES))
