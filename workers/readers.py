"""Checkpoints of this machine that judges ask, loaded one evaluation long."""

import gc
import uuid
from collections.abc import Mapping

from alignment.scores import Reader
from backend.checkpoints.models import Checkpoint
from workers.answering import SHELF, Watch, load


def load_all(models: Mapping[str, Checkpoint], watch: Watch) -> dict[str, Reader]:
    """A reader for each field, one checkpoint loaded once; those that answer make room first.  Raises Refused."""
    SHELF.clear()
    gc.collect()
    found: dict[uuid.UUID, Reader] = {}
    for checkpoint in models.values():
        if checkpoint.id not in found:
            with watch.meanwhile():
                found[checkpoint.id] = load(checkpoint, Reader)
    return {field: found[checkpoint.id] for field, checkpoint in models.items()}
