"""Direct preference optimization in which what a response has beyond the shorter one counts less."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.batch import REFERENCE, OtherValue, Role, TokenValue
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


class LDDPO(Objective):
    """DPO in which tokens beyond the length of the pair's shorter response count with the weight alpha.

    Liu et al. 2024, arXiv 2409.06411. The log-probability of a response is that of its first m tokens
    plus alpha times that of the rest, where m is the length of the shorter response. The paper leaves open whether the
    reference is discounted, too; where it is, the loss is log 2 and the reward 0 at policy == reference.
    """

    name: ClassVar[str] = "ld_dpo"
    title: ClassVar[str] = "LD-DPO"
    family: ClassVar[str] = "Token by token"
    formula: ClassVar[str] = (
        r"-\log\sigma\!\left(\beta\left[\log\frac{\hat\pi(y_w)}{\hat\pi_{\mathrm{ref}}(y_w)}"
        r"-\log\frac{\hat\pi(y_l)}{\hat\pi_{\mathrm{ref}}(y_l)}\right]\right),\quad"
        r"\log\hat\pi(y)=\sum_{t\le m}\log\pi(y_t)+\alpha\sum_{t>m}\log\pi(y_t)"
    )
    paper: ClassVar[Paper] = Paper(
        "Length Desensitization in Direct Preference Optimization",
        "Liu et al.",
        2024,
        "2409.06411",
        "",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = Needs(PAIR, reference="tokens", tokens=frozenset({TokenValue.LOGPS}))
    fixes: ClassVar[str] = "DPO rewards length by itself: each further token adds to the margin. Here it adds less."
    costs: ClassVar[str] = "What a longer response says late is hardly learned; the best alpha differs between models."
    ranges: ClassVar[Mapping[str, Range]] = {"alpha": Range(0.3, 0.6, "where the paper's models were best")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("length_discounted", "The same discount for any other loss of pairs."),
        Relative("dpo", "Equals DPO at alpha = 1, and where both responses are equally long.", at={"alpha": 1.0}),
    )

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    alpha: float = Field(
        0.5, ge=0, le=1, title="Alpha", description="Weight of the tokens beyond the shorter response's length."
    )
    apply_to_ref: bool = Field(
        True,
        title="Discount the reference",
        description="Whether the reference's log-probabilities are discounted in the same way.",
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta (discounted margin)), (examples,)."""
        chosen, rejected = batch.sides(self._ratios(batch))
        return -log_sigmoid(self.beta * (chosen - rejected))

    def rewards(self, batch: Batch) -> Tensor:
        """beta * the discounted log-ratio, (S,)."""
        return self.beta * self._ratios(batch)

    def _ratios(self, batch: Batch) -> Tensor:
        tokens, weights = batch.each_token(), discounts(batch, self.alpha)
        policy = tokens.added(weights * tokens.values[TokenValue.LOGPS], len(batch.logps))
        reference = tokens.other(REFERENCE, OtherValue.LOGPS)
        if self.apply_to_ref:
            reference = weights * reference
        return policy - tokens.added(reference, len(batch.logps))


def discounts(batch: Batch, alpha: float) -> Tensor:
    """1 for each token, and alpha for those of a chosen or rejected response beyond the shorter one of both, (T,)."""
    tokens, pairs = batch.each_token(), batch.pairs()
    shorter = pairs.chosen.lengths.minimum(pairs.rejected.lengths)[batch.example]
    beside = (batch.role != int(Role.CHOSEN)) & (batch.role != int(Role.REJECTED))
    late = tokens.positions >= batch.lengths.where(beside, shorter)[tokens.sequence]
    return 1 - (1 - alpha) * late.to(batch.logps.dtype)
