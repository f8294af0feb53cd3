"""The training engine against TRL on long responses; see `benchmarks.engine`."""

from collections.abc import Iterable

from benchmarks.engine import figures, prepared
from benchmarks.figure import Figure


def measure() -> Iterable[Figure]:
    """Its figures in every setting."""
    with prepared(2) as (folder, work):
        yield from figures(folder, work)
