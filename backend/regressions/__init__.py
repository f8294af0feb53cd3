"""Regressions: whether a run broke anything besides what it was to change."""
