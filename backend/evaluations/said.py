"""Verdicts gathered into win rates: what people or one judge said about pairs of checkpoints."""

import math
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, select

from alignment.judges.llm import UNREADABLE
from alignment.judges.panel import MEMBER
from alignment.statistics import Meeting, Outcome, Ties, WinRate, by_pair, win_rate
from backend.evaluations.models import Match, Source, Verdict
from backend.evaluations.report_schemas import PairOut, RateOut, TableOut

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


def pairs(said: Sequence[Said], contestants: Sequence[uuid.UUID], rule: Rule) -> list[PairOut]:
    """A row for every pair of contestants, the later one's rate against the earlier one."""
    decided = scores(said)
    known = {verdict.match_id: verdict for verdict in said}
    meetings = [
        Meeting(known[match_id].prompt_hash, str(known[match_id].a), str(known[match_id].b), score)
        for match_id, score in decided.items()
    ]
    rows = by_pair([str(one) for one in contestants], meetings, **rule._asdict())
    by_contestants: dict[frozenset[uuid.UUID], list[Said]] = defaultdict(list)
    for verdict in said:
        by_contestants[frozenset((verdict.a, verdict.b))].append(verdict)
    return [_pair(uuid.UUID(row.first), uuid.UUID(row.second), row.win_rate, by_contestants) for row in rows]


def _pair(first: uuid.UUID, second: uuid.UUID, rate: WinRate, said: dict[frozenset[uuid.UUID], list[Said]]) -> PairOut:
    own = said.get(frozenset((first, second)), [])
    return PairOut(
        first=first,
        second=second,
        win_rate=rate_out(rate),
        mean_probability=_mean_probability(own, first),
        verdicts=len(own),
        undecided=dict(Counter(verdict.reason or "no reason" for verdict in own if verdict.outcome is None)),
        contradicted=sum(not agreed for _, agreed in _both_orders(own)),
        both_bad=sum("both_bad" in (verdict.value or {}) for verdict in own),
    )


def _mean_probability(said: Sequence[Said], first: uuid.UUID) -> float | None:
    """How probable the verdicts hold it that `first` wins, on average: AlpacaEval 2's win rate."""
    told = [
        verdict.probability if verdict.a == first else 1 - verdict.probability
        for verdict in said
        if verdict.probability is not None
    ]
    return math.fsum(told) / len(told) if told else None


def _both_orders(said: Iterable[Said]) -> list[tuple[str, bool]]:
    """The prompt of each match that a judge decided in both side orders, and whether it said the same."""
    found = []
    for own in _by_match(verdict for verdict in said if verdict.source is Source.judge).values():
        outcomes = [verdict.outcome for verdict in own if verdict.outcome is not None]
        if len(outcomes) == ORDERS:
            found.append((own[0].prompt_hash, len(set(outcomes)) == 1))
    return found


def table(judge: str, said: Sequence[Said], contestants: Sequence[uuid.UUID], rule: Rule) -> TableOut:
    """What `judge` (or people) said, whether the side shown first had an advantage, and what came to nothing."""
    half = rule._replace(ties="half")._asdict()
    first = [
        Outcome(verdict.prompt_hash, 1 - verdict.outcome if verdict.swapped else verdict.outcome)
        for verdict in said
        if verdict.outcome is not None and verdict.source is not Source.imported
    ]
    same = [Outcome(prompt, float(agreed)) for prompt, agreed in _both_orders(said)]
    people = judge == PEOPLE
    ordered = [verdict for verdict in said if verdict.source is Source.judge]
    return TableOut(
        judge=judge,
        source="person" if people else "judge",
        pairs=pairs(said, contestants, rule),
        shown_first=rate_out(win_rate(first, **half)),
        consistency=None if people or not ordered else rate_out(win_rate(same, **half)),
        verdicts=len(said),
        unreadable=sum(verdict.reason in UNREADABLE for verdict in said),
        one_sided=len({one.match_id for one in ordered if one.outcome is not None}) - len(same),
    )


def rate_out(rate: WinRate) -> RateOut:
    """The rate for the API, where null stands for nan."""
    return RateOut(**{name: plain(value) for name, value in rate._asdict().items()})


def plain(value: Any) -> Any:
    """None for nan, anything else as it is: JSON has no nan."""
    return None if isinstance(value, float) and math.isnan(value) else value
