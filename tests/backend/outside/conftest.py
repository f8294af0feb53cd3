"""Datasets of pairs, as those who label them have."""

from tests.backend.labels.conftest import make_pairs

__all__ = ["make_pairs"]
