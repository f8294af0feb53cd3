"""Metrics of runs: written once however often they arrive, rolled up as they are written, read so that few points
show everything.

The ladder: level 0 is every step; at level k the steps whose `step >> 3 * k` is equal share a bucket (8, 64, 512 …
steps) with n, mean, min and max of its finite values, so that no spike is lost.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Double, Row, Select, case, cast, delete, func, literal, or_, select, true, union_all
from sqlalchemy.dialects.postgresql import aggregate_order_by, distinct_on, insert
from sqlalchemy.orm import Session

from backend.runs.models import Metric, MetricRollup, Run
from backend.runs.schemas import MetricsOut, Series

BITS = 3
LEVELS = 7  # buckets of up to 2^21 steps
ROWS_AT_ONCE = 2000
COLUMNS = ("run_id", "level", "name", "bucket", "n", "mean", "min", "max")
TINIEST, LARGEST = 1e-290, 1e290


class Reading(NamedTuple):
    """One value of one step; `at` is the byte offset of its event."""

    name: str
    step: int
    value: float | None
    at: int


@dataclass
class _Sum:
    n: int = 0
    total: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")

    def add(self, value: float) -> None:
        # Postgres raises on overflow and underflow; a picture needs neither end of the range.
        value = 0.0 if abs(value) < TINIEST else max(-LARGEST, min(LARGEST, value))
        self.n += 1
        self.total += value
        self.low, self.high = min(self.low, value), max(self.high, value)


def record(session: Session, run_id: uuid.UUID, readings: Sequence[Reading]) -> None:
    """Afterwards every reading is stored and counted in the ladder once; known ones are skipped."""
    for start in range(0, len(readings), ROWS_AT_ONCE):
        rows = [{"run_id": run_id, **reading._asdict()} for reading in readings[start : start + ROWS_AT_ONCE]]
        added = session.execute(
            insert(Metric).values(rows).on_conflict_do_nothing().returning(Metric.name, Metric.step, Metric.value)
        )
        _roll_up(session, run_id, added.all())


def _roll_up(session: Session, run_id: uuid.UUID, added: Iterable[Row[str, int, float | None]]) -> None:
    sums: dict[tuple[int, str, int], _Sum] = defaultdict(_Sum)
    for name, step, value in added:
        if value is not None:
            for level in range(1, LEVELS + 1):
                sums[level, name, step >> BITS * level].add(value)
    rows = [
        {
            "run_id": run_id, "level": level, "name": name, "bucket": bucket,
            "n": found.n, "mean": found.total / found.n, "min": found.low, "max": found.high,
        }
        for (level, name, bucket), found in sorted(sums.items())
    ]  # fmt: skip
    for start in range(0, len(rows), ROWS_AT_ONCE):
        new = insert(MetricRollup).values(rows[start : start + ROWS_AT_ONCE])
        old, both = MetricRollup, MetricRollup.n + new.excluded.n
        session.execute(
            new.on_conflict_do_update(
                index_elements=[old.run_id, old.level, old.name, old.bucket],
                set_={
                    "n": both,
                    # Weighted means, so that no sum can overflow where the values do not.
                    "mean": old.mean * (old.n / both) + new.excluded.mean * (new.excluded.n / both),
                    "min": func.least(old.min, new.excluded.min),
                    "max": func.greatest(old.max, new.excluded.max),
                },
            )
        )


def forget(session: Session, run_id: uuid.UUID, step: int) -> None:
    """Remove what is known of steps after `step`, from the ladder too: each level is summed up anew from the one below
    where its bucket reached beyond the step."""
    session.execute(delete(Metric).where(Metric.run_id == run_id, Metric.step > step))
    for level in range(1, LEVELS + 1):
        bucket = (step + 1) >> BITS * level
        mine = MetricRollup.run_id == run_id, MetricRollup.level == level
        session.execute(delete(MetricRollup).where(*mine, MetricRollup.bucket >= bucket))
        session.execute(insert(MetricRollup).from_select(COLUMNS, _summed(run_id, level, bucket)))


def _summed(run_id: uuid.UUID, level: int, bucket: int) -> Select[Any]:
    """One bucket of every metric, from the values or buckets that it holds."""
    each: Any
    if level == 1:
        value: Any = func.greatest(func.least(Metric.value, LARGEST), -LARGEST)
        value = case((func.abs(Metric.value) < TINIEST, 0.0), else_=value)
        each = select(
            Metric.name, literal(1).label("n"), *(value.label(name) for name in ("mean", "min", "max"))
        ).where(Metric.run_id == run_id, Metric.step >= bucket << BITS, Metric.value.is_not(None))
    else:
        each = select(MetricRollup.name, MetricRollup.n, MetricRollup.mean, MetricRollup.min, MetricRollup.max).where(
            MetricRollup.run_id == run_id, MetricRollup.level == level - 1, MetricRollup.bucket >= bucket << BITS
        )
    parts = each.subquery().c
    n = func.sum(parts.n)
    # Divided before they are added up, so that no sum overflows where its mean does not.
    whole = select(parts.name, n.label("n")).group_by(parts.name).subquery().c
    mean = func.sum(parts.mean * (parts.n / cast(whole.n, Double)))
    fields = (literal(run_id), literal(level), parts.name, literal(bucket), n, mean)
    return (
        select(*fields, func.min(parts.min), func.max(parts.max))
        .join(whole.name.table, whole.name == parts.name)
        .group_by(parts.name)
    )


def read(
    session: Session,
    run_id: uuid.UUID,
    cursor: int,
    *,
    after: int | None,
    names: Sequence[str] | None,
    points: int,
    rewound: int | None = None,
) -> MetricsOut:
    """What arrived between `after` and `cursor`, at most about `points` per name.

    With `after` the answer continues what the caller has; when too much has arrived since, or nothing was given, it
    is the whole history from the level of the ladder that fits, marked `whole`; so it is when the run was taken back,
    at the byte `rewound`, since the caller asked.
    """
    if after is not None and (rewound is None or after > rewound):
        longest = _longest(session, run_id, names, after, cursor)
        if longest <= points:
            return MetricsOut(cursor=cursor, whole=False, level=0, series=_raw(session, run_id, names, after, cursor))
    level = _level(session, run_id, names, cursor, points)
    series = _raw(session, run_id, names, -1, cursor) if level == 0 else _rolled(session, run_id, names, level)
    return MetricsOut(cursor=cursor, whole=True, level=level, series=series)


def latest(session: Session, run_ids: Sequence[uuid.UUID], names: Sequence[str]) -> dict[uuid.UUID, dict[str, float]]:
    """The last finite value of each of `names` for each run."""
    found = session.execute(
        select(Metric.run_id, Metric.name, Metric.value)
        .ext(distinct_on(Metric.run_id, Metric.name))
        .where(Metric.run_id.in_(run_ids), Metric.name.in_(names), Metric.value.is_not(None))
        .order_by(Metric.run_id, Metric.name, Metric.step.desc())
    )
    values: dict[uuid.UUID, dict[str, float]] = defaultdict(dict)
    for run_id, name, value in found:
        if value is not None:
            values[run_id][name] = value
    return dict(values)


def sparkline(session: Session, run_ids: Sequence[uuid.UUID], name: str, points: int) -> dict[uuid.UUID, list[float]]:
    """The course of one metric of each run in at most `points` values, oldest first: one query, which looks at no more
    than `points` values and one of each level, however long the runs are."""
    lines: dict[uuid.UUID, list[float]] = {run_id: [] for run_id in run_ids}
    each = union_all(*(_starts(run_ids, name, level, points + 1) for level in range(LEVELS + 1))).subquery()
    values = func.array_agg(aggregate_order_by(each.c.value, each.c.place)).filter(each.c.value.is_not(None))
    fitting = (
        select(each.c.run_id, values)
        .ext(distinct_on(each.c.run_id))
        .group_by(each.c.run_id, each.c.level)
        .having(or_(func.count() <= points, each.c.level == LEVELS))
        .order_by(each.c.run_id, each.c.level)
    )
    for run_id, found in session.execute(fitting):
        lines[run_id] = (found or [])[:points]
    return lines


def _starts(run_ids: Sequence[uuid.UUID], name: str, level: int, most: int) -> Select[Any]:
    """The first `most` values of every run at a level of the ladder."""
    inner: Any
    if level == 0:
        inner = select(Metric.step.label("place"), Metric.value.label("value"))
        inner = inner.where(Metric.run_id == Run.id, Metric.name == name)
    else:
        inner = select(MetricRollup.bucket.label("place"), MetricRollup.mean.label("value"))
        inner = inner.where(MetricRollup.run_id == Run.id, MetricRollup.level == level, MetricRollup.name == name)
    first = inner.correlate(Run).order_by("place").limit(most).lateral()
    return (
        select(Run.id.label("run_id"), literal(level).label("level"), first.c.place, first.c.value)
        .join(first, true())
        .where(Run.id.in_(run_ids))
    )


def _longest(session: Session, run_id: uuid.UUID, names: Sequence[str] | None, after: int, cursor: int | None) -> int:
    counted = select(func.count().label("n")).where(Metric.run_id == run_id, Metric.at >= after).group_by(Metric.name)
    if cursor is not None:
        counted = counted.where(Metric.at < cursor)
    if names is not None:
        counted = counted.where(Metric.name.in_(names))
    return session.scalar(select(func.max(counted.subquery().c.n))) or 0


def _level(session: Session, run_id: uuid.UUID, names: Sequence[str] | None, cursor: int | None, points: int) -> int:
    if _longest(session, run_id, names, 0, cursor) <= points:
        return 0
    counted = select(MetricRollup.level, MetricRollup.name, func.count().label("n")).where(
        MetricRollup.run_id == run_id
    )
    if names is not None:
        counted = counted.where(MetricRollup.name.in_(names))
    each = counted.group_by(MetricRollup.level, MetricRollup.name).subquery()
    longest = session.execute(select(each.c.level, func.max(each.c.n)).group_by(each.c.level)).all()
    fitting = [level for level, count in longest if count <= points]
    return min(fitting, default=LEVELS if longest else 0)


def _raw(
    session: Session, run_id: uuid.UUID, names: Sequence[str] | None, after: int, cursor: int | None
) -> dict[str, Series]:
    wanted = select(Metric.name, Metric.step, Metric.value).where(Metric.run_id == run_id, Metric.at >= after)
    if cursor is not None:
        wanted = wanted.where(Metric.at < cursor)
    if names is not None:
        wanted = wanted.where(Metric.name.in_(names))
    series: dict[str, Series] = {}
    for name, step, value in session.execute(wanted.order_by(Metric.name, Metric.step)):
        line = series.setdefault(name, Series())
        line.step.append(step)
        line.value.append(value)
    return series


def _rolled(session: Session, run_id: uuid.UUID, names: Sequence[str] | None, level: int) -> dict[str, Series]:
    wanted = select(MetricRollup).where(MetricRollup.run_id == run_id, MetricRollup.level == level)
    if names is not None:
        wanted = wanted.where(MetricRollup.name.in_(names))
    series: dict[str, Series] = {}
    for bucket in session.scalars(wanted.order_by(MetricRollup.name, MetricRollup.bucket)):
        line = series.setdefault(bucket.name, Series())
        # A bucket stands at its first step, so that the raw steps that follow it live are never to its left.
        line.step.append(bucket.bucket << BITS * level)
        line.value.append(bucket.mean)
        line.low.append(bucket.min)
        line.high.append(bucket.max)
    return series
