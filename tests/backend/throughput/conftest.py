"""The pairs that labelling tests use."""

from tests.backend.labels.conftest import make_pairs

__all__ = ["make_pairs"]
