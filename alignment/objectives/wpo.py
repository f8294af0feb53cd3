"""Direct preference optimization weighted by how likely the policy would have said the pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.batch import TokenValue
from alignment.objectives.objective import (
    PAIR,
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


class WPO(Objective):
    """DPO in which a pair counts as much as the policy would have sampled it: off-policy data, nearly on-policy.

    Zhou et al. 2024, arXiv 2406.11827, with sampled alignment. The weight is without gradient:
    exp(a_w + a_l), where a is the mean over tokens of log p(token) - log sum p^2. At policy == reference the loss is
    log 2 times the weight, and the reward is 0.
    """

    name: ClassVar[str] = "wpo"
    title: ClassVar[str] = "WPO"
    family: ClassVar[str] = "Token by token"
    formula: ClassVar[str] = (
        r"-\mathrm{sg}\!\left[w(y_w)\,w(y_l)\right]\log\sigma\!\left(\beta\left[\log\frac{\pi(y_w)}{\pi_{\mathrm{ref}}(y_w)}"
        r"-\log\frac{\pi(y_l)}{\pi_{\mathrm{ref}}(y_l)}\right]\right),\quad"
        r"\log w(y)=\frac{1}{|y|}\sum_t\log\frac{\pi(y_t)}{\sum_v\pi(v)^2}"
    )
    paper: ClassVar[Paper] = Paper(
        "WPO: Enhancing RLHF with Weighted Preference Optimization",
        "Zhou et al.",
        2024,
        "2406.11827",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = Needs(PAIR, reference="sequence", tokens=frozenset({TokenValue.LOG_COLLISION}))
    fixes: ClassVar[str] = "Pairs that the policy would never say itself teach it little: they count less."
    costs: ClassVar[str] = "Every weight is below 1 as a rule, so the same learning rate moves the policy less."
    ranges: ClassVar[Mapping[str, Range]] = {"beta": Range(0.01, 0.01, "in all of the paper's runs")}
    relatives: ClassVar[tuple[Relative, ...]] = (Relative("dpo", "WPO is DPO where every pair's weight is 1."),)

    beta: float = Field(
        0.01, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    clamp: bool = Field(
        True, title="Weights up to 1", description="Whether no pair counts more than 1, as in the authors' code."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-weight * log sigmoid(beta h), (examples,)."""
        tokens = batch.each_token()
        surprise = tokens.sums(TokenValue.LOG_COLLISION, len(batch.logps))
        chosen, rejected = batch.sides(((batch.logps - surprise) / batch.lengths).detach())
        alignment = chosen + rejected
        if self.clamp:
            alignment = alignment.clamp(max=0)
        return -alignment.exp() * log_sigmoid(self.beta * batch.pairs().margin)

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios
