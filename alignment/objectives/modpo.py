"""DPO on one objective with the frozen rewards of others as a margin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Self, cast

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from alignment.objectives.facts import ASPECT
from alignment.objectives.objective import (
    PAIRED_WITH_REFERENCE,
    Fidelity,
    Needs,
    Objective,
    Paper,
    Range,
    Relative,
    State,
    log_sigmoid,
)

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch

LEAST_WEIGHT = 1e-3


class _Needs:
    """A pair with a reference, and the aspects that the instance names (of the class, those of its default)."""

    def __get__(self, instance: MODPO | None, owner: type[MODPO]) -> Needs:
        aspects = owner.model_fields["aspects"].default if instance is None else instance.aspects
        return PAIRED_WITH_REFERENCE._replace(facts=frozenset(ASPECT + name for name in aspects))


class MODPO(Objective):
    """Trains one objective's pairs, with what other objectives think of both responses taken off the margin.

    Zhou et al. 2023, arXiv 2310.03708, the loss MODPO.  The first weight is that of the objective whose pairs are
    trained, the others are those of the aspects in their order; the gradient grows as beta over the first weight.
    Where policy and reference agree and the aspects do not differ, the loss is log 2.
    """

    name: ClassVar[str] = "modpo"
    title: ClassVar[str] = "MODPO"
    family: ClassVar[str] = "Pairs with scores"
    formula: ClassVar[str] = (
        r"-\log\sigma\!\left(\tfrac{1}{w_0}\left[\beta h-\sum_{k\ge 1}w_k\left(R_k(y_w)-R_k(y_l)\right)\right]\right),"
        r"\quad h=\log\frac{\pi(y_w)}{\pi_{\mathrm{ref}}(y_w)}-\log\frac{\pi(y_l)}{\pi_{\mathrm{ref}}(y_l)}"
    )
    paper: ClassVar[Paper] = Paper(
        "Beyond One-Preference-Fits-All Alignment: Multi-Objective Direct Preference Optimization",
        "Zhou et al.",
        2023,
        "2310.03708",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = cast("Needs", _Needs())
    fixes: ClassVar[str] = (
        "Balances several wishes (helpful, harmless, short) by weights without reinforcement learning; a few runs with "
        "different weights draw the front between them."
    )
    costs: ClassVar[str] = (
        "Rewards of the other objectives have to stand in the data for both responses, on the scale of implicit "
        "rewards; a small first weight makes gradients large."
    )
    ranges: ClassVar[Mapping[str, Range]] = {"beta": Range(0.1, 0.1, "first weights from 0.1 to 0.9")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "With all weight on the pairs themselves it is DPO.", {"w": [1.0, 0.0]}),
        Relative("odpo_offset", "That one takes one margin off, with no weights."),
    )

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    w: list[Annotated[float, Field(ge=0, le=1)]] = Field(
        [0.5, 0.5],
        min_length=2,
        max_length=9,
        title="Weights",
        description="Of the objective that the pairs were labeled for, then of each aspect; they sum to 1.",
    )
    aspects: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        ["helpfulness"],
        min_length=1,
        max_length=8,
        title="Aspects",
        description="Names of the aspects whose numbers are the rewards of the other objectives.",
    )

    @model_validator(mode="after")
    def _weights_fit(self) -> Self:
        if len(self.w) != len(self.aspects) + 1 or len(set(self.aspects)) < len(self.aspects):
            raise PydanticCustomError(
                "weights", "w has one weight for the pairs and one for each aspect, and each aspect is named once"
            )
        if abs(sum(self.w) - 1) > 1e-6:
            raise PydanticCustomError("weights", "the weights sum to {sum}, and must sum to 1", {"sum": sum(self.w)})
        if self.w[0] < LEAST_WEIGHT:
            message = "the first weight divides the margin, and must be at least {least}"
            raise PydanticCustomError("weights", message, {"least": LEAST_WEIGHT})
        return self

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid((beta h - sum of w_k times the gap of aspect k) / w_0), (examples,)."""
        pairs = batch.pairs()
        left = self.beta * pairs.margin
        for weight, aspect in zip(self.w[1:], self.aspects, strict=True):
            left = left - weight * (pairs.chosen.facts[ASPECT + aspect] - pairs.rejected.facts[ASPECT + aspect])
        return -log_sigmoid(left / self.w[0])

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,): the weighted sum of all objectives' rewards."""
        return self.beta * batch.singles().ratios
