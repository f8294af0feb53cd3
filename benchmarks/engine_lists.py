"""The training engine against TRL on lists of eight responses; see `benchmarks.engine`."""

from collections.abc import Iterable

from benchmarks.engine import figures, prepared
from benchmarks.figure import Figure


def measure() -> Iterable[Figure]:
    """Its figures in every setting."""
    with prepared(3) as (folder, work):
        yield from figures(folder, work)
