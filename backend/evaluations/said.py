"""Verdicts gathered into win rates: what people or one judge said about pairs of checkpoints."""

import math
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select, select

from alignment.statistics import Meeting, Outcome, Ties, WinRate, by_pair, win_rate
from backend.evaluations.models import Match, Source, Verdict
from backend.evaluations.report_schemas import PairOut, RateOut, TableOut

PEOPLE = "people"


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


def query() -> Select[Any]:
    """Verdicts as `Said` rows, oldest first; add conditions on Match and Verdict."""
    columns = (Match.id, Match.prompt_hash, Match.checkpoint_a, Match.checkpoint_b)
    verdict = (
        Verdict.source,
        Verdict.judge,
        Verdict.swapped,
        Verdict.probability,
        Verdict.reason,
        Verdict.value,
    )
    return select(*columns, *verdict).select_from(Match).join(Verdict).order_by(Verdict.id)


def scores(said: Iterable[Said]) -> dict[uuid.UUID, float]:
    """For each match with an answer, the mean outcome of `a` over its verdicts."""
    found: dict[uuid.UUID, list[float]] = defaultdict(list)
    for verdict in said:
        if verdict.outcome is not None:
            found[verdict.match_id].append(verdict.outcome)
    return {match_id: math.fsum(outcomes) / len(outcomes) for match_id, outcomes in found.items()}


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
    outcomes: dict[uuid.UUID, set[float]] = defaultdict(set)
    for verdict in own:
        if verdict.source is Source.judge and verdict.outcome is not None:
            outcomes[verdict.match_id].add(verdict.outcome)
    return PairOut(
        first=first,
        second=second,
        win_rate=rate_out(rate),
        verdicts=len(own),
        undecided=dict(Counter(verdict.reason or "no reason" for verdict in own if verdict.outcome is None)),
        contradicted=sum({0.0, 1.0} <= seen for seen in outcomes.values()),
        both_bad=sum("both_bad" in (verdict.value or {}) for verdict in own),
    )


def table(judge: str, said: Sequence[Said], contestants: Sequence[uuid.UUID], rule: Rule) -> TableOut:
    """What `judge` (or people) said, and whether the side shown first had an advantage."""
    first = [
        Outcome(verdict.prompt_hash, 1 - verdict.outcome if verdict.swapped else verdict.outcome)
        for verdict in said
        if verdict.outcome is not None
    ]
    return TableOut(
        judge=judge,
        source="person" if judge == PEOPLE else "judge",
        pairs=pairs(said, contestants, rule),
        shown_first=rate_out(win_rate(first, **rule._replace(ties="half")._asdict())),
    )


def rate_out(rate: WinRate) -> RateOut:
    """The rate for the API, where null stands for nan."""
    return RateOut(**{name: plain(value) for name, value in rate._asdict().items()})


def plain(value: Any) -> Any:
    """None for nan, anything else as it is: JSON has no nan."""
    return None if isinstance(value, float) and math.isnan(value) else value
