"""What is no number, and by whose fault: a step is taken only when its loss and its gradient are finite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from alignment.training.errors import NonFiniteLoss
from alignment.training.measures import COLUMNS

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.training.encode import Encoded

FEW, MOST = 8, 1000  # examples that are named: in a sentence, and in the event
LOSS, LOGPS = COLUMNS.index("loss"), COLUMNS.index("logps")


def require_finite(step: int, rows: Tensor, loss: float, grad_norm: float, examples: Sequence[Encoded]) -> None:
    """Raise NonFiniteLoss, which names the examples that are at fault, or all of a step whose gradient alone is.

    `rows` are the measures of each example.
    """
    if math.isfinite(loss) and math.isfinite(grad_norm):
        return
    broken = _broken(rows, LOGPS) or _broken(rows, LOSS)
    ids = [examples[index].example.id for index in broken or range(len(examples))][:MOST]
    what = "loss" if not math.isfinite(loss) else "gradient"
    whose = f"At fault are {len(broken)} of its" if broken else "No example's own loss is at fault; the step took these"
    raise NonFiniteLoss(
        f"The {what} of step {step} is not finite; the weights were not changed by it. "
        f"{whose} {len(examples)} examples: {', '.join(ids[:FEW])}{', …' if len(ids) > FEW else ''}.",
        "Lower the learning rate or max_grad_norm, train in fp32, or look at the examples that are named.",
        "optimizer.learning_rate",
        ids,
    )


def _broken(rows: Tensor, column: int) -> list[int]:
    found: list[int] = (~rows[:, column].isfinite()).nonzero().flatten().tolist()
    return found
