"""Efficient exact optimization on scored lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.listed import SCORED, Listed
from alignment.objectives.objective import Fidelity, Needs, Paper, Range, Relative, State

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class EXO(Listed):
    """Reverse KL from the scores of a list to the policy's rewards, both as a softmax: seeks the best mode.

    Ji et al. 2024, arXiv 2402.00856. It is 0 where both agree; a response that the policy finds very
    unlikely hardly moves, however good it is. Where policy equals reference it is -log K - mean log q.
    """

    name: ClassVar[str] = "exo_rw"
    title: ClassVar[str] = "EXO (scores)"
    formula: ClassVar[str] = (
        r"\sum_i p_i\log\frac{p_i}{q_i},\quad p=\mathrm{softmax}\Big(\beta\log\frac{\pi(y_i)}{\pi_{\mathrm{ref}}(y_i)}"
        r"\Big),\quad q=\mathrm{softmax}\Big(\frac{r_i}{\beta_r}\Big)"
    )
    paper: ClassVar[Paper] = Paper(
        "Towards Efficient Exact Optimization of Language Model Alignment", "Ji et al.", 2024, "2402.00856", ""
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = SCORED
    fixes: ClassVar[str] = "Optimizes the objective of reinforcement learning itself on the responses that there are."
    costs: ClassVar[str] = "The gradient vanishes for responses that the policy ranks far too low."
    ranges: ClassVar[Mapping[str, Range]] = {"beta": Range(0.1, 0.5)}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("infonca", "InfoNCA takes the KL divergence in the other direction."),
    )

    beta_r: float = Field(
        0.5,
        ge=1e-6,
        le=1000,
        title="Temperature of the scores",
        description="What scores are divided by; near 0 the best response takes all the weight.",
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """sum of p (log p - log q), (examples,)."""
        lists = batch.lists()
        ours = lists.log_shares(self.beta * lists.ratios)
        theirs = lists.log_shares(lists.facts["score"] / self.beta_r)
        return (lists.shares(self.beta * lists.ratios) * (ours - theirs)).sum(dim=1)
