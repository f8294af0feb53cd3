"""How long the responses of a dataset are: a histogram over a sample of its items."""

import math
import uuid
from typing import NamedTuple

from sqlalchemy import func, select, true
from sqlalchemy.orm import Session

from backend.datasets.models import Item

SAMPLE = 5_000
BINS = 20
_NICE = (1, 2, 5, 10)


class Bar(NamedTuple):
    """How many responses have from `low` to below `high` characters."""

    low: int
    high: int
    responses: int


def histogram(session: Session, dataset_id: uuid.UUID) -> tuple[list[Bar], int]:
    """About twenty bars of a round width, the last holding the longest hundredth, and the number of items looked at.

    The sample is the items with the smallest content hashes, which is as good as drawn by lot and the same each time.
    """
    sample = (
        select(Item.responses).where(Item.dataset_id == dataset_id).order_by(Item.content_hash).limit(SAMPLE).subquery()
    )
    looked_at = session.scalar(select(func.count()).select_from(sample)) or 0
    answer = func.jsonb_array_elements(sample.c.responses).table_valued("value", name="answer").lateral()
    length = func.length(answer.c.value.op("->>")("content"))
    lengths = sorted(session.scalars(select(length).select_from(sample).join(answer, onclause=true())))
    if not lengths:
        return [], looked_at
    usual = lengths[(len(lengths) - 1) * 99 // 100]
    width = _round_up(max(1, (usual + 1) / BINS))
    counts = [0] * (usual // width + 1)
    for characters in lengths:
        counts[min(characters // width, len(counts) - 1)] += 1
    bars = [Bar(place * width, (place + 1) * width, count) for place, count in enumerate(counts)]
    bars[-1] = bars[-1]._replace(high=max(bars[-1].high, lengths[-1] + 1))
    return bars, looked_at


def _round_up(width: float) -> int:
    """The next of 1, 2, 5, 10, 20, 50, …"""
    power = 10 ** math.floor(math.log10(width))
    return int(next(nice * power for nice in _NICE if nice * power >= width))
