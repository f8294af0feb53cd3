"""How many steps a run takes, from its spec and the number of examples alone."""

from __future__ import annotations

from alignment.training.spec import Duration


def total_steps(duration: Duration, examples: int, examples_per_step: int) -> int:
    """Optimizer steps of a run: the steps asked for, or the whole steps that the epochs fill, at least one."""
    if duration.steps is not None:
        return duration.steps
    return max(1, int((duration.epochs or 0) * examples / examples_per_step + 1e-9))
