"""One measured number, as every benchmark gives it."""

from typing import NamedTuple


class Figure(NamedTuple):
    """A number with what is needed to judge it."""

    what: str
    value: float
    unit: str
    target: str = ""  # what was promised, for people: "at most 15 s"
    met: bool | None = None  # whether it was kept; None where nothing was promised
    note: str = ""  # how it was measured: n, interval, conditions
