"""What keeps a judge's verdicts from telling anything, in sentences; and rates of one match taken out of sight."""

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy.orm import Session

from alignment.statistics import WinRate
from backend.evaluations import columns, judging, tables
from backend.evaluations.columns import Read
from backend.evaluations.models import Evaluation
from backend.evaluations.report_schemas import PairOut, RateOut, TableOut
from backend.work import ENDED

ALONE = "One match alone makes no rate."
APART = "They have no prompt in common, so nothing can be said of them."
UNANSWERED = "There is no prompt that both answered."
ONE_MATCH = "One match has been decided, from which no rate can be told. Judge more of them."
SILENT = (
    "None of its {count} verdicts names a winner or a tie (most of all: {reason}), so nothing can be told of anybody."
    " {mend}, and judge again."
)
NAMED = 3  # pairs or groups that a sentence names

Pair = frozenset[uuid.UUID]
Names = Mapping[uuid.UUID, str]


class Met(NamedTuple):
    """How often pairs of contestants met, and how often both had answered; `ended`: neither number will grow; `judge`
    is whom the evaluation asks, as it was recorded."""

    matches: Mapping[Pair, int]
    answered: Mapping[Pair, int]
    ended: bool
    judge: dict[str, Any]


def met(read: Read, evaluation: Evaluation) -> Met:
    """Who met whom."""
    ids, size = read.matches.contestants, len(read.matches.contestants)
    pair = np.maximum(read.matches.a, read.matches.b) * size + np.minimum(read.matches.a, read.matches.b)
    both = (read.answers.length >= 0).all(axis=1)
    matches, answered = (
        {frozenset((ids[one // size], ids[one % size])): int(count) for one, count in enumerate(np.bincount(own))}
        for own in (pair, pair[both])
    )
    return Met(matches, answered, evaluation.state in ENDED, evaluation.judge)


def meaningless(session: Session, evaluation: Evaluation, judge: str, rate: WinRate | RateOut) -> bool:
    """Whether a rate by `judge` looks like one of equals because the judge goes by the place alone."""
    if rate.ties < rate.n:  # of such a judge every match is a tie
        return False
    found = columns.of_evaluation(session, evaluation)
    return tables.by_place(found.voices.get(judge, columns.SILENT), found.matches) is not None


def told(one: TableOut, names: Names, met: Met, by_place: str | None) -> TableOut:
    """The table with its statements, and without numbers that would only look fine; `by_place` is what there is to say
    of a judge that goes by the place alone."""
    if by_place is not None:
        return _meaningless(one, names, met, by_place)
    decided = sum(pair.win_rate.n for pair in one.pairs)
    pairs = [pair.model_copy(update={"win_rate": _rate(pair, met)}) for pair in one.pairs]
    alone = {pair.first for pair in pairs if pair.win_rate.reason == ALONE}
    found: dict[str, Any] = {
        "pairs": pairs,
        "against": [row for row in one.against if row.contestant not in alone],
        "clean": [
            row.model_copy(update={"seen": _alone(row.seen), "unseen": _alone(row.unseen)})
            for row in one.clean
            if row.contestant not in alone
        ],
        "by_step": [row for row in one.by_step if row.checkpoint_id not in alone],
        "statements": list(_statements(one, pairs, decided, names, met)),
    }
    if decided == 1:
        found |= {
            "shown_first": _without(one.shown_first),
            "consistency": one.consistency and _without(one.consistency),
        }
    return one.model_copy(update=found)


def _meaningless(one: TableOut, names: Names, met: Met, said: str) -> TableOut:
    """Of a judge that goes by the place alone every match is a tie, which would look like equals."""
    rates = [_without(pair.win_rate, said) if pair.win_rate.n else _rate(pair, met) for pair in one.pairs]
    pairs = [
        pair.model_copy(update={"win_rate": rate, "mean_probability": None})
        for pair, rate in zip(one.pairs, rates, strict=True)
    ]
    none: dict[str, Any] = {"against": [], "clean": [], "by_step": [], "ranking": None, "pairs": pairs}
    bare = one.model_copy(update=none)
    decided = sum(rate.n for rate in rates)
    return bare.model_copy(update={"statements": [said, *_statements(bare, pairs, decided, names, met)]})


def _rate(pair: PairOut, met: Met) -> RateOut:
    rate, reason = pair.win_rate, _why(pair, met)
    if rate.n == 1:
        return _without(rate)
    return rate.model_copy(update={"reason": reason}) if not rate.n and reason else rate


def _why(pair: PairOut, met: Met) -> str | None:
    """Why nothing will ever be said of a pair without a decided match."""
    both = frozenset((pair.first, pair.second))
    if not met.matches.get(both):
        return APART
    return UNANSWERED if met.ended and not met.answered.get(both) and not pair.verdicts else None


def _alone(rate: RateOut) -> RateOut:
    return _without(rate) if rate.n == 1 else rate


def _without(rate: RateOut, reason: str = ALONE) -> RateOut:
    none = {"rate": None, "low": None, "high": None, "method": "none", "reason": reason}
    return rate.model_copy(update=none if rate.n else {})


def _statements(one: TableOut, pairs: Sequence[PairOut], decided: int, names: Names, met: Met) -> Iterator[str]:
    """The gravest first."""
    if one.verdicts and not decided:
        reasons: Counter[str] = Counter()
        for pair in one.pairs:
            reasons.update(pair.undecided)
        if reasons.total() == one.verdicts:
            (reason, _), *_ = reasons.most_common(1)
            mend = judging.mend(met.judge, one.judge)
            yield SILENT.format(count=f"{one.verdicts:,}", reason=reason.rstrip("."), mend=mend)
    if decided == 1:
        yield ONE_MATCH
    for reason in (APART, UNANSWERED):
        lacking = [f"{names[row.first]} and {names[row.second]}" for row in pairs if row.win_rate.reason == reason]
        if lacking:
            more = f" and {len(lacking) - NAMED} more" if len(lacking) > NAMED else ""
            yield f"{'; '.join(lacking[:NAMED])}{more}: {reason}"
    if one.ranking is not None and len(one.ranking.groups) > 1 and decided > 1:
        groups = [", ".join(names[each] for each in group[:NAMED]) for group in one.ranking.groups]
        yield f"{one.ranking.reason} The groups that can be ranked among themselves: {' | '.join(groups[: 2 * NAMED])}."
