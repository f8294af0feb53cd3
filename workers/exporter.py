"""Writes one export in a process of its own: `python -m workers.exporter ORDER.json`.

It prints one JSON object per line: `{step}` as it goes on, and at the end `{done: true, dtype, files, comparison}` or
`{reason, remedy}`. A model of many gigabytes is loaded here and nowhere else, so that its memory is free afterwards and
a cancelled export ends at once.
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
from pydantic import BaseModel

from alignment.amounts import amount
from alignment.export.card import Card, Written, render
from alignment.export.plan import Dtype, Kind, Plan, plan
from alignment.export.record import Comparison
from alignment.export.write import Base, write
from alignment.training.errors import TrainingError
from alignment.training.failures import named
from alignment.training.machine import share
from backend.leash import die_with_parent
from workers.hub import say

log = logging.getLogger(__name__)


class Order(BaseModel):
    """What to write, and where; `folder` is empty and there."""

    checkpoint: Path
    folder: Path
    kind: Kind
    dtype: Dtype
    base: str | None
    base_revision: str | None
    rank: int | None
    card: Card


class TooLittleMemory(TrainingError):
    """The model does not fit."""

    code = "too_little_memory"
    exit_code = 71
    title = "Too little memory"


def make(order: Order) -> None:
    """Fill the folder and say what came of it.  Raises TrainingError, OSError."""
    planned = plan(order.checkpoint, order.kind, order.dtype)
    _require_memory(planned)

    def card(comparison: Comparison) -> str:
        template = any(path.name == "chat_template.jinja" for path in planned.copied)
        base = order.base if order.kind == "adapter" else None
        return render(
            order.card,
            Written(
                kind=order.kind,
                dtype=planned.dtype,
                base=base,
                rank=order.rank,
                template=template,
                comparison=comparison,
            ),
        )

    base = Base(order.base, order.base_revision) if order.base else None
    made = write(planned, order.folder, base, card, lambda step: say(step=step))
    say(done=True, dtype=made.dtype, files=made.files, comparison=made.comparison.model_dump())


def _require_memory(planned: Plan) -> None:
    free = psutil.virtual_memory().available
    if free < planned.memory_bytes:
        raise TooLittleMemory(
            f"Writing and comparing it takes {amount(planned.memory_bytes)} of memory, and "
            f"{amount(free)} are free on the worker's machine.",
            "Wait until less runs there, or let a worker on a larger machine do it.",
        )


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    (place,) = arguments
    die_with_parent()
    share()
    order = Order.model_validate_json(Path(place).read_text("utf-8"))
    try:
        make(order)
    except (TrainingError, OSError) as error:
        log.exception("export failed")
        failure = named(error)
        say(reason=failure.detail, remedy=failure.remedy)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
