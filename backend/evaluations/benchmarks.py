"""What lm-evaluation-harness measured: each contestant on each task, and its change against the baseline."""

import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from scipy.stats import norm

from alignment.statistics.changes import Change, of_errors, paired
from backend.evaluations.models import Evaluation
from backend.evaluations.report_schemas import MeasuredOut
from backend.evaluations.said import Rule, plain

NO_ERROR: Final = "Its error is not known."
ALIKE: Final = "All its samples scored the same, so the error says nothing."


class Compared(NamedTuple):
    """A task on two checkpoints: the change, the scores of samples of both where they are told, how many samples only
    one of them has, and whether the metric is a share of right answers, of which more is better."""

    change: Change
    sides: tuple[Sequence[float], Sequence[float]] | None
    left_out: int
    share: bool


def compare(
    base: Mapping[str, Any], now: Mapping[str, Any], *, margin: float = 0.0, level: float, seed: int
) -> Compared:
    """By sample where both told each sample's score, else from both errors."""
    share = now["higher_is_better"] and all(0 <= one["value"] <= 1 for one in (base, now))
    one, other = base["samples"], now["samples"]
    same = sorted(one.keys() & other.keys())
    if share and same and all(0 <= score <= 1 for side in (one, other) for score in side.values()):
        sides = [one[key] for key in same], [other[key] for key in same]
        change = paired(same, *sides, margin=margin, level=level, seed=seed)
        return Compared(change, sides, len(one.keys() ^ other.keys()), share)
    errors = [math.nan if side["stderr"] is None else side["stderr"] for side in (base, now)]
    n = min(base["n"], now["n"])
    change = of_errors(base["value"], errors[0], now["value"], errors[1], n, margin=margin, level=level)
    return Compared(change, None, 0, share)


def read(evaluation: Evaluation, rule: Rule) -> list[MeasuredOut]:
    """Task by task in the order in which they were asked, the contestants in theirs; nothing where none was."""
    found = evaluation.measured or {}
    tasks = (evaluation.harness or {}).get("tasks", [])
    base, *_ = evaluation.contestants
    return [
        _row(task, one, found[one][task], None if one == base else found.get(base, {}).get(task), rule)
        for task in tasks
        for one in evaluation.contestants
        if task in found.get(one, {})
    ]


def _row(task: str, contestant: str, own: Mapping[str, Any], base: Mapping[str, Any] | None, rule: Rule) -> MeasuredOut:
    low, high, reason = _bounds(own, rule.level)
    found = compare(base, own, level=rule.level, seed=rule.seed) if base else None
    change = found.change if found else None
    bounded = found is not None and found.share  # bounds of a change are those of a share
    return MeasuredOut(
        task=task, contestant=uuid.UUID(contestant), metric=own["metric"], higher_is_better=own["higher_is_better"],
        value=own["value"], low=low, high=high, n=own["n"], reason=reason, level=rule.level, seed=rule.seed,
        change=plain(change.difference) if change else None,
        change_low=plain(change.low) if change and bounded else None,
        change_high=plain(change.high) if change and bounded else None,
        paired=change is not None and change.method == "paired",
    )  # fmt: skip


def _bounds(own: Mapping[str, Any], level: float) -> tuple[float | None, float | None, str | None]:
    """So many standard errors, as the library tells them, to each side."""
    if own["stderr"] is None:
        return None, None, NO_ERROR
    if own["stderr"] == 0:
        return None, None, ALIKE
    reach = float(norm.ppf((1 + level) / 2)) * own["stderr"]
    low, high = own["value"] - reach, own["value"] + reach
    return (max(0.0, low), min(1.0, high), None) if 0 <= own["value"] <= 1 else (low, high, None)
