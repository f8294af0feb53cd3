"""What objectives of lists share: a temperature, scores of K responses, and which of them the data put first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from alignment.objectives.batch import NOTHING, Role
from alignment.objectives.objective import Needs, Objective, log_sigmoid

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch, Lists

LIST: frozenset[Role] = frozenset({Role.CANDIDATE})
RANKED = Needs(LIST, reference="sequence", facts=frozenset({"rank"}))
SCORED = Needs(LIST, reference="sequence", facts=frozenset({"score"}))
SkipWeights = Annotated[
    list[Annotated[float, Field(ge=0, le=100)]],
    Field(
        min_length=1,
        max_length=16,
        title="Weights by distance",
        description="Weight of neighbors, then of responses two, three … places apart.",
    ),
]


class Listed(Objective):
    """K responses to one prompt, scored by beta * log(policy / reference)."""

    family: ClassVar[str] = "Lists with a reference"

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios


def ordered(lists: Lists, scores: Tensor) -> tuple[Tensor, Tensor]:
    """-log sigmoid(s_i - s_j) added up over i ranked above j, and how many such pairs there are, (examples,) each.

    `scores` are (examples, K).
    """
    above = lists.above(-lists.facts["rank"])
    terms = -log_sigmoid(scores[:, :, None] - scores[:, None, :]).masked_fill(~above, 0.0)
    return terms.sum(dim=(1, 2)), above.sum(dim=(1, 2))


def apart(lists: Lists, scores: Tensor, weights: Sequence[float]) -> Tensor:
    """Weighted means of -log sigmoid(s_(i) - s_(i+d)) over the distances d = 1, 2 …, (examples,): RankList.

    `scores` are (examples, K), and (i) is the place by the fact `rank`.  Two responses of one rank contribute nothing;
    a distance that no list has adds nothing.
    """
    order = lists.facts["rank"].masked_fill(~lists.mask, -NOTHING).argsort(dim=1, stable=True)
    scores, rank, there = (each.gather(1, order) for each in (scores, lists.facts["rank"], lists.mask))
    total = scores.new_zeros(len(scores))
    for distance, weight in enumerate(weights[: scores.shape[1] - 1], start=1):
        counts = there[:, distance:] & (rank[:, distance:] > rank[:, :-distance])
        terms = -log_sigmoid(scores[:, :-distance] - scores[:, distance:]).masked_fill(~counts, 0.0)
        total = total + weight * terms.sum(dim=1) / counts.sum(dim=1).clamp(min=1)
    return total
