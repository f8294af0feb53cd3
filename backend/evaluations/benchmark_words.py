"""What lm-evaluation-harness measured, as a section of the report as a file."""

import uuid
from collections.abc import Mapping, Sequence

from backend.evaluations.markup import Child, el, name, table
from backend.evaluations.report_schemas import ContestantOut, MeasuredOut

HEADS = ["Checkpoint", "Task", "Metric", "Value", "Samples", "Against the baseline"]


def section(rows: Sequence[MeasuredOut], known: Mapping[uuid.UUID, ContestantOut]) -> list[Child]:
    """A heading and a table; nothing where nothing was measured."""
    if not rows:
        return []
    told: list[list[Child]] = [
        [
            name(known[row.contestant].name),
            name(row.task),
            name(row.metric if row.higher_is_better else f"{row.metric} (less is better)"),
            f"{row.value:.4g}{_bounds(row.low, row.high)}",
            str(row.n),
            "-" if row.change is None else f"{row.change:+.4g}{_bounds(row.change_low, row.change_high)}",
        ]
        for row in rows
    ]
    note = f"By lm-evaluation-harness; {rows[0].level:.0%} intervals, seed {rows[0].seed}"
    return [el("h2", "Public benchmarks"), table(HEADS, told, note)]


def _bounds(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" ({low:.4g} to {high:.4g})"
