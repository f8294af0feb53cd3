"""DPO that also tells how much was taken out of a response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from alignment.objectives.facts import ASPECT, DEGREES, REMOVED
from alignment.objectives.objective import (
    PAIRED_WITH_REFERENCE,
    Fidelity,
    Needs,
    Objective,
    Own,
    Paper,
    Range,
    Relative,
    State,
    log_sigmoid,
    varying,
)

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch, Responses

COUNT = 4
"""Degrees: nothing was taken out, or one of three amounts."""


def _needs(own: SPODegree) -> Needs:
    return Needs(frozenset(), facts=frozenset({ASPECT + REMOVED} if own.degrees == "data" else ()))


class SPODegree(Objective):
    """Adds to DPO the cross-entropy of a head that tells how much key content each response has lost.

    Li et al. 2024, arXiv 2409.17791; reconstructed, as the released repository holds no code.  The head is a linear map
    of the policy's last hidden states, averaged over the response, into `degree_logits` (S, 4); its gradient reaches
    the policy.  Degrees are those that the data say (0 to 3, the aspect `removed`), or a chosen response counts as
    whole and a rejected one as most degraded.  Where policy and reference agree, the loss is log 2 plus gamma times
    both cross-entropies, which begin at log 4.
    """

    name: ClassVar[str] = "spo_degree"
    title: ClassVar[str] = "SPO"
    family: ClassVar[str] = "Pairs with more than labels"
    formula: ClassVar[str] = (
        r"-\log\sigma(\beta h)+\gamma\left(\mathrm{CE}(d_w)+\mathrm{CE}(d_l)\right),\quad "
        r"h=\log\frac{\pi(y_w)}{\pi_{\mathrm{ref}}(y_w)}-\log\frac{\pi(y_l)}{\pi_{\mathrm{ref}}(y_l)}"
    )
    paper: ClassVar[Paper] = Paper(
        "Self-supervised Preference Optimization: Enhance Your Language Model with Preference Degree Awareness",
        "Li et al.",
        2024,
        "2409.17791",
        "",
    )
    fidelity: ClassVar[Fidelity] = "reconstruction"
    needs: ClassVar[Needs] = varying(
        PAIRED_WITH_REFERENCE._replace(facts=frozenset({DEGREES}), heads=frozenset({(DEGREES, COUNT)})), _needs
    )
    fixes: ClassVar[str] = (
        "Labels say which answer is better and not by how much; degraded copies of answers teach that."
    )
    costs: ClassVar[str] = (
        "A head is trained beside the model. Copies of responses from which known amounts were taken have to be in the "
        "data; without them the head learns no more than which side of a pair it reads."
    )
    ranges: ClassVar[Mapping[str, Range]] = {}
    relatives: ClassVar[tuple[Relative, ...]] = (Relative("dpo", "Equals DPO at gamma = 0.", at={"gamma": 0.0}),)

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    gamma: float = Field(0.1, ge=0, le=100, title="Gamma", description="How much the degrees count; 0 gives DPO.")
    degrees: Literal["sides", "data"] = Field(
        "sides",
        title="Degrees",
        description="Of each side of a pair the same, as set below (sides), or of each response the aspect removed in "
        "the data, 0 to 3 (data).",
    )
    head_rate: float = Field(
        1e-3, gt=0, le=1, title="Rate of the head", description="Highest learning rate of the head."
    )
    head_decay: float = Field(0.0, ge=0, le=1, title="Decay of the head", description="Weight decay of the head.")
    deg_w: int = Field(
        0, ge=0, le=3, title="Degree of chosen", description="How much was taken out of the chosen response."
    )
    deg_l: int = Field(
        3, ge=0, le=3, title="Degree of rejected", description="How much was taken out of the rejected response."
    )

    @model_validator(mode="after")
    def _degrees_of_sides_only_where_they_count(self) -> Self:
        told = [name for name in ("deg_w", "deg_l") if getattr(self, name) != type(self).model_fields[name].default]
        if self.degrees == "data" and told:
            message = "the data say the degrees, so {fields} would change nothing: leave it as it is"
            raise PydanticCustomError("not_read", message, {"fields": " and ".join(told)})
        return self

    def objection(self, facts: Mapping[str, tuple[float, ...]]) -> str | None:
        """Degrees are whole numbers from 0 to 3."""
        for degree in facts.get(ASPECT + REMOVED, ()):
            if degree not in range(COUNT):
                return f"says that {degree:g} was removed from a response, and degrees are 0, 1, 2 and 3"
        return None

    def own_modules(self, layers: int, width: int) -> Own | None:  # noqa: ARG002
        """The head."""
        from alignment.objectives.modules.degrees import DegreeHead

        names = [f"{DEGREES}.{place}" for place in range(COUNT)]
        return Own(DegreeHead(names, width), self.head_rate, self.head_decay)

    def own_weights(self, layers: int, width: int) -> int:  # noqa: ARG002
        """A number for each degree and value of the hidden state, and one more."""
        return COUNT * (width + 1)

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta h) + gamma times the cross-entropies of both degrees, (examples,)."""
        pairs = batch.pairs()
        told = self._told(pairs.chosen, self.deg_w) + self._told(pairs.rejected, self.deg_l)
        return -log_sigmoid(self.beta * pairs.margin) - self.gamma * told

    def _told(self, responses: Responses, degree: int) -> Tensor:
        """How probable the head thinks the degree of each response, as a logarithm, (examples,)."""
        logs: Tensor = responses.facts[DEGREES].log_softmax(-1)
        if self.degrees == "sides":
            return logs[:, degree]
        return logs.gather(1, responses.facts[ASPECT + REMOVED].long()[:, None])[:, 0]

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios
