"""Exports of datasets take the memory of a few rows, however many there are."""

import gc
import tracemalloc
from collections.abc import Iterator

import pytest

from alignment.formats.canonical import CHOSEN_FIRST, Item
from alignment.formats.preference import Policy
from backend.datasets import exports
from backend.datasets import service as datasets
from backend.datasets.models import Dataset
from backend.db import transaction
from backend.projects import service as projects


def items(count: int) -> Iterator[Item]:
    """Pairs of some kilobytes each."""
    for number in range(count):
        yield Item(
            prompt=[{"role": "user", "content": f"Question {number}?"}],
            responses=[{"role": "assistant", "content": f"{side} {number} " * 300} for side in ("good", "bad")],
            labels=[CHOSEN_FIRST],
        )


@pytest.fixture
def two(clean: None) -> tuple[Dataset, Dataset]:
    """A dataset of three of the blocks that exports read, and one three times as large."""
    with transaction() as session:
        project = projects.default(session)
        small = datasets.create_from_items(session, project, "Small", list(items(2_100)))
        return small, datasets.create_from_items(session, project, "Large", list(items(6_300)))


def test_memory_does_not_grow(two: tuple[Dataset, Dataset]) -> None:
    """Three times the rows are three times the bytes and the same memory."""
    for format in ("native", "parquet"):
        sent, peaks = [], []
        for dataset in two:
            with transaction() as session:
                how = exports.plan(session, dataset, format, None, None, Policy())
            gc.collect()
            tracemalloc.start()
            sent.append(sum(len(block) for block in exports.stream(transaction, dataset, format, how)))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()

        assert format == "parquet" or sent[1] > 2.9 * sent[0]
        assert peaks[1] < 1.5 * peaks[0], format
