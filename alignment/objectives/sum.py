"""A weighted sum of objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from alignment.objectives import feeding
from alignment.objectives.composite import Composite, Inner, joined, within
from alignment.objectives.dpo import DPO
from alignment.objectives.nll import NLL
from alignment.objectives.objective import Fidelity, Needs, Objective, Paper, Relative, State
from alignment.parts import Part

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class Term(Part):
    """An objective and how much it counts."""

    weight: float = Field(1.0, gt=0, le=1e6, title="Weight", description="What the term's loss is multiplied by.")
    objective: Inner = Field(DPO(), title="Objective", description="The term itself.")


class Sum(Composite):
    """Adds up other objectives, each with its weight: DPO and a share of supervised learning, for instance.

    Liu et al. 2024, arXiv 2405.16436, is such a sum.  Weights are taken as they are and need not add up to
    1.  All terms learn from the same kind of data.  Implicit rewards are those of the first term.  Where policy and
    reference agree, the loss is the weighted sum of what each term is there.
    """

    name: ClassVar[str] = "sum"
    title: ClassVar[str] = "Weighted sum"
    family: ClassVar[str] = "Made of parts"
    formula: ClassVar[str] = r"\sum_k w_k\,\mathcal{L}_k"
    paper: ClassVar[Paper] = Paper(
        "Provably Mitigating Overoptimization in RLHF: Your SFT Loss is Implicitly an Adversarial Regularizer",
        "Liu et al.",
        2024,
        "2405.16436",
        "",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = joined(Needs(frozenset()))
    fixes: ClassVar[str] = "Several wishes at once: DPO with a likelihood term keeps what is chosen likely."
    costs: ClassVar[str] = "Losses have scales of their own, so weights must be found by trial."
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "A sum of one term of weight 1 is that term."),
        Relative("nll", "The usual second term, which keeps chosen responses likely."),
    )

    terms: list[Term] = Field(
        [Term(), Term(objective=NLL())],
        min_length=1,
        max_length=8,
        title="Terms",
        description="What is added up; the first one gives the rewards.",
    )

    @model_validator(mode="after")
    def _same_data(self) -> Self:
        first = self.terms[0].objective
        shared = set(feeding.kinds(first.needs.roles))
        for term in self.terms[1:]:
            shared &= set(feeding.kinds(term.objective.needs.roles))
            if not shared:
                message = "no kind of data feeds all terms: {first} learns from {data}, and {other} does not"
                data, other = feeding.usable(first.needs.roles), term.objective.title
                raise PydanticCustomError("other_data", message, {"first": first.title, "data": data, "other": other})
        return self

    def parts(self) -> dict[str, Objective]:
        """Each term's objective."""
        return {f"terms.{place}.objective": term.objective for place, term in enumerate(self.terms)}

    def loss(self, batch: Batch, state: State) -> Tensor:
        """The sum over the terms of weight * loss, (examples,); one number when a term couples the batch."""
        coupled, total = self.needs.coupled, batch.logps.new_zeros(())
        for term, path in zip(self.terms, self.parts(), strict=True):
            loss = term.objective.loss(batch, within(state, path))
            total = total + term.weight * (loss.mean() if coupled else loss)
        return total

    def rewards(self, batch: Batch) -> Tensor:
        """Those of the first term, (S,)."""
        return self.terms[0].objective.rewards(batch)
