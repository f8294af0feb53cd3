"""Verdicts of matches one by one: who won each, as people or a judge have it."""

import math
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, select

from alignment.judges.panel import MEMBER
from alignment.statistics import Ties, WinRate
from backend.evaluations.models import Match, Source, Verdict
from backend.evaluations.report_schemas import RateOut

PEOPLE = "people"
ORDERS = 2  # an automatic judge sees every match in both side orders


class Said(NamedTuple):
    """One verdict with what is needed to count it."""

    match_id: uuid.UUID
    prompt_hash: str
    a: uuid.UUID
    b: uuid.UUID
    source: Source
    judge: str | None
    swapped: bool
    probability: float | None
    reason: str | None
    value: dict[str, Any] | None
    guided: bool | None = None

    @property
    def outcome(self) -> float | None:
        """1 when `a` won, 0 when it lost, 0.5 for a tie, None for no answer."""
        if self.probability is None:
            return None
        return 0.5 if self.probability == 0.5 else float(self.probability > 0.5)


class Rule(NamedTuple):
    """How rates are computed."""

    ties: Ties = "half"
    level: float = 0.95
    seed: int = 0


def of(match: Match, verdict: Verdict) -> Said:
    """A verdict of a match as it is counted."""
    return Said(
        match.id,
        match.prompt_hash,
        match.checkpoint_a,
        match.checkpoint_b,
        verdict.source,
        verdict.judge,
        verdict.swapped,
        verdict.probability,
        verdict.reason,
        verdict.value,
        verdict.guided,
    )


def query(cluster: ColumnElement[Any] | None = None) -> Select[Any]:
    """Verdicts as `Said` rows, oldest first; add conditions on Match and Verdict. `cluster` stands for the prompt."""
    columns = (Match.id, Match.prompt_hash if cluster is None else cluster, Match.checkpoint_a, Match.checkpoint_b)
    verdict = (
        Verdict.source,
        Verdict.judge,
        Verdict.swapped,
        Verdict.probability,
        Verdict.reason,
        Verdict.value,
        Verdict.guided,
    )
    return select(*columns, *verdict).select_from(Match).join(Verdict).order_by(Verdict.id)


def scores(said: Iterable[Said]) -> dict[uuid.UUID, float]:
    """For each match that people, or one judge, decided: the outcome of `a`.

    People's votes are averaged, and imported verdicts that tell no side order. A judge decides in both side orders:
    where they differ it is a tie, and a match with only one of them is not decided.
    """
    found = {match_id: _score(own) for match_id, own in _by_match(said).items()}
    return {match_id: score for match_id, score in found.items() if score is not None}


def everybody(said: Iterable[Said]) -> float | None:
    """The outcome of `a` in one match: what people and each judge said of it, averaged; None while nobody decided."""
    voices: dict[str, list[Said]] = defaultdict(list)
    for verdict in said:
        if not (verdict.judge or "").startswith(MEMBER):  # the panel speaks for them
            voices[verdict.judge or PEOPLE].append(verdict)
    found = [score for own in voices.values() for score in scores(own).values()]
    return math.fsum(found) / len(found) if found else None


def _by_match(said: Iterable[Said]) -> dict[uuid.UUID, list[Said]]:
    found: dict[uuid.UUID, list[Said]] = defaultdict(list)
    for verdict in said:
        found[verdict.match_id].append(verdict)
    return found


def _score(said: Sequence[Said]) -> float | None:
    outcomes = [verdict.outcome for verdict in said if verdict.outcome is not None]
    if said[0].source is not Source.judge:
        return math.fsum(outcomes) / len(outcomes) if outcomes else None
    if len(outcomes) < ORDERS:
        return None
    return outcomes[0] if len(set(outcomes)) == 1 else 0.5


def rate_out(rate: WinRate) -> RateOut:
    """The rate for the API, where null stands for nan."""
    return RateOut(**{name: plain(value) for name, value in rate._asdict().items()})


def plain(value: Any) -> Any:
    """None for nan, anything else as it is: JSON has no nan."""
    return None if isinstance(value, float) and math.isnan(value) else value
