"""Which checkpoints are kept because suggestions are being made by them."""

import uuid

from sqlalchemy import ColumnElement, Text, cast, exists
from sqlalchemy.orm import InstrumentedAttribute

from backend.suggestions.models import SuggestionJob
from backend.work import ENDED


def unfinished() -> ColumnElement[bool]:
    """Work that waits for its turn or has a worker, as a condition."""
    return SuggestionJob.state.not_in(ENDED)


def takes(checkpoint_id: uuid.UUID | InstrumentedAttribute[uuid.UUID]) -> ColumnElement[bool]:
    """Whether such work needs the checkpoint, as a condition."""
    return exists().where(unfinished(), cast(SuggestionJob.judge, Text).contains(cast(checkpoint_id, Text)))
