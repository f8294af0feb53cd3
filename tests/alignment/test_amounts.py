"""Bytes as people read them."""

import pytest

from alignment.amounts import amount


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (0, "0 kB"),
        (20_400, "20 kB"),
        (512 * 10**6, "512 MB"),
        (2**30, "1.1 GB"),
        (16_384 * 10**6, "16.4 GB"),
        (5_000_000 * 10**6, "5,000.0 GB"),
    ],
)
def test_bytes_are_told_in_the_units_of_the_pages(size: int, told: str) -> None:
    """Decimal ones, of memory and disks alike."""
    assert amount(size) == told
