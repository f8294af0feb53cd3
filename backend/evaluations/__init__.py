"""Evaluations, the arena, their matches and verdicts."""
