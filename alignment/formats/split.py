"""Which split a prompt belongs to, for life: a function of the project and the prompt alone."""

from __future__ import annotations

import hashlib
from typing import Final

from alignment.formats.canonical import Split

VALIDATION_SHARE: Final = 0.05
TEST_SHARE: Final = 0.05


def split_of(project: str, prompt_hash: str) -> Split:
    """train (90 %), validation (5 %) or test (5 %) by SHA-256 of project id and prompt hash."""
    digest = hashlib.sha256((project + prompt_hash).encode()).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    if place < TEST_SHARE:
        return "test"
    return "validation" if place < TEST_SHARE + VALIDATION_SHARE else "train"
