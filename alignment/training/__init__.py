"""Training: spec → batches → log-probabilities → objective → step → checkpoint, with no database, queue or web.

In a notebook: `train(spec, Path("out"), on_event=print)`.  On a machine: `python -m alignment.training RUN_DIR`.
Importing this package loads neither torch nor transformers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment.training.errors import TrainingError
from alignment.training.spec import Spec

if TYPE_CHECKING:
    from alignment.training.loop import Summary
    from alignment.training.stop import Stop

__all__ = ["Spec", "TrainingError", "train"]


def train(
    spec: Spec | dict[str, Any],
    out: Path,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    stop: Stop | None = None,
) -> Summary:
    """Train by `spec` into the folder `out`, and say how it ended.

    `out` then holds spec.json, events.jsonl and checkpoints/<step>/. `on_event` is told each event as it is written;
    `stop.ask()` ends the run at its next batch with the last step saved. Raises TrainingError, whose `event()` is the
    last line of events.jsonl.
    """
    from alignment.training.run import start

    return start(spec, out, on_event, stop)
