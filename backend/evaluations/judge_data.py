"""What a judge said, match by match, as columns."""

import uuid
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session

from alignment.judges.llm import UNREADABLE
from alignment.judges.panel import MEMBER, Panel
from alignment.statistics.features import FEATURES, measure
from backend.evaluations import columns
from backend.evaluations.columns import Floats, Ids, Places, Read, outcome
from backend.evaluations.models import Evaluation, Match, Source, Verdict
from backend.evaluations.said import PEOPLE

MOST_MATCHES = 60_000
"""Matches that are read, the newest; 120 000 verdicts where both side orders were judged."""
MOST_READ = 1_000
"""Matches whose answers are read for what the judge likes, drawn by lot."""


class Judged(NamedTuple):
    """Matches that a judge looked at (M,), the newest first. Numbers are nan where nothing was said, or an answer is
    missing.

    `prompt` numbers prompts, `a` and `b` stand for `contestants`. `straight` and `turned` are its probabilities that
    `a` wins, with `a` and with `b` shown first. `people` is the mean of people's votes, `others` that of everybody
    else's verdicts.
    """

    ids: Ids
    contestants: list[uuid.UUID]
    prompt: Places
    a: Places
    b: Places
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


def alike(session: Session, evaluation: Evaluation) -> list[uuid.UUID]:
    """The evaluations of its project whose judge has the same settings, the newest first."""
    own = Evaluation.project_id == evaluation.project_id, Evaluation.judge == evaluation.judge
    return list(session.scalars(select(Evaluation.id).where(*own).order_by(Evaluation.id.desc())))


def read(session: Session, evaluations: Sequence[uuid.UUID], judge: str) -> tuple[Judged, bool]:
    """What `judge` said in `evaluations`, and whether older matches were left out."""
    mine = exists().where(Verdict.match_id == Match.id, Verdict.source == Source.judge, Verdict.judge == judge)
    where: list[ColumnElement[bool]] = [Match.evaluation_id.in_(evaluations)]
    before = session.scalar(
        select(Match.id).where(*where, mine).order_by(Match.id.desc()).offset(MOST_MATCHES).limit(1)
    )
    if before is not None:
        where.append(Match.id > before)
    named = select(Evaluation.contestants).where(Evaluation.id.in_(evaluations)).order_by(Evaluation.id)
    contestants = dict.fromkeys(uuid.UUID(one) for some in session.scalars(named) for one in some)
    return _judged(columns.read(session, list(contestants), *where), judge), before is not None


def _judged(found: Read, judge: str) -> Judged:
    size, voice = len(found.ids), found.voices.get(judge, columns.SILENT)
    own, silent = voice.ordered, np.isnan(voice.probability)
    straight, turned = (np.full(size, np.nan) for _ in range(2))
    for side, swapped in ((straight, False), (turned, True)):
        here = own & (voice.swapped == swapped)
        side[voice.match[here]] = voice.probability[here]
    unreadable = np.zeros(len(own), dtype=np.bool_)
    unreadable[silent] = [reason in UNREADABLE for reason in voice.reasons]
    verdicts = np.bincount(voice.match[own], minlength=size)
    newest = np.argsort(found.ids)[::-1]
    newest = newest[verdicts[newest] > 0]
    lengths = np.where(found.answers.length < 0, np.nan, found.answers.length)
    every: list[NDArray[np.generic]] = [
        found.matches.prompt,
        found.matches.a,
        found.matches.b,
        lengths[:, 0],
        lengths[:, 1],
        straight,
        turned,
        verdicts,
        np.bincount(voice.match[own & unreadable], minlength=size),
        _votes(found, (PEOPLE,)),
        _votes(found, [one for one in found.voices if _other(one, judge)]),
    ]
    return Judged(found.ids[newest], found.matches.contestants, *(one[newest] for one in every))  # type: ignore[arg-type]


def _other(voice: str, judge: str) -> bool:
    """Whether a voice speaks for itself beside `judge`: the panel speaks for its members, one of which it may be."""
    return voice != judge and not voice.startswith(MEMBER) and not (judge.startswith(MEMBER) and voice == Panel.name)


def _votes(found: Read, voices: Sequence[str]) -> Floats:
    """The mean outcome of `a` in what these voices said of each match, nan where none of them did."""
    size = len(found.ids)
    n, total = np.zeros(size), np.zeros(size)
    for name in voices:
        voice = found.voices.get(name, columns.SILENT)
        said = voice.outcome
        told = ~np.isnan(said)
        n += np.bincount(voice.match[told], minlength=size)
        total += np.bincount(voice.match[told], weights=said[told], minlength=size)
    return np.asarray(np.divide(total, n, out=np.full(size, np.nan), where=n > 0))


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
    place = {columns.uuid_of(judged.ids[one]): one for one in said.tolist()}
    sides = (one["content"].astext for one in (Match.response_a, Match.response_b))
    places, found = [], []
    for match_id, first, second in session.execute(select(Match.id, *sides).where(Match.id.in_(place))):
        if first is not None and second is not None:
            places.append(place[match_id])
            found.append(np.subtract(measure(first), measure(second)))
    return places, np.array(found).reshape(-1, len(FEATURES))
