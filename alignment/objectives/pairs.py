"""What objectives of pairs share: the reward against a reference, its strength, and likelihoods of chosen responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, cast

from pydantic import Field

from alignment.objectives.objective import PAIRED_WITH_REFERENCE, Needs, Objective
from alignment.objectives.objective import varying as of_instance

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch, Responses

WITH_REFERENCE: Final = "Pairs with a reference"
WITHOUT_REFERENCE: Final = "Pairs without a reference"

RATIO: Final = r"d(y)=\log\frac{\pi(y)}{\pi_{\mathrm{ref}}(y)}"
MARGIN: Final = r"h=\log\frac{\pi(y_w)}{\pi_{\mathrm{ref}}(y_w)}-\log\frac{\pi(y_l)}{\pi_{\mathrm{ref}}(y_l)}"
"""How formulas say what d and h are."""


def strength(default: float) -> Any:
    """The field beta of an objective that is measured against a reference."""
    return Field(default, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model.")


class WithReference(Objective):
    """Objectives whose implicit reward is beta * log(policy / reference), 0 where the two agree."""

    family: ClassVar[str] = WITH_REFERENCE
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE

    beta: float = strength(0.1)

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios


AnchorDecay = Annotated[
    Annotated[float, Field(gt=0, lt=1)] | None,
    Field(
        title="Anchor decay",
        description="Empty: the anchor is the reference, and stays. Else it is the moving average of the policy's "
        "weights, of which each step keeps so much; it begins as the checkpoint.",
    ),
]


def following(own: Needs) -> Needs:
    """The `needs` of an objective with a field `anchor_decay`, whose anchor may be the policy's moving average."""

    def more(objective: Any) -> Needs:
        decay = objective.anchor_decay
        return Needs(frozenset()) if decay is None else Needs(frozenset(), reference="tokens", anchor=decay)

    return of_instance(own, more)


Likelihood = Literal["sum", "mean", "batch"]


def likely(own: Needs) -> Needs:
    """The `needs` of an objective with a field `nll` that says which likelihood of chosen responses it counts."""
    return of_instance(
        own, lambda objective: Needs(frozenset(), coupled=objective.nll == "batch", lengths=objective.nll != "sum")
    )


def negative_log_likelihood(chosen: Responses, of: Likelihood) -> Tensor:
    """-log policy of each chosen response, (examples,): its sum, its mean over tokens, or its share of the batch's.

    The mean of the shares is the mean over all tokens of the batch's chosen responses.
    """
    if of == "sum":
        return -chosen.logps
    return -chosen.averages if of == "mean" else -chosen.logps / chosen.lengths.mean()


class _Varying:
    """`needs` that differ where a field of the instance has a value; the class's own are those of other instances."""

    def __init__(self, own: Needs, field: str, value: str, there: Needs) -> None:
        self._own, self._field, self._value, self._there = own, field, value, there

    def __get__(self, instance: Any, owner: type[Objective]) -> Needs:
        return self._there if getattr(instance, self._field, None) == self._value else self._own


def varying(own: Needs, field: str, value: str, there: Needs) -> Needs:
    """The `needs` of an objective: its own, and others on instances whose field has that value."""
    return cast("Needs", _Varying(own, field, value, there))
