"""Amounts of bytes for people, of memory and of disks alike, in the decimal units that the pages have too."""

from __future__ import annotations


def amount(size: int) -> str:
    """Bytes as a text: 20 kB, 512 MB, 16.4 GB."""
    if size >= 10**9:
        return f"{size / 10**9:,.1f} GB"
    return f"{size / 10**6:,.0f} MB" if size >= 10**6 else f"{size / 10**3:,.0f} kB"
