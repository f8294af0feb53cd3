"""Direct preference optimization whose tokens count as a guide model says."""

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

GUIDE = "guide"


class TGDPO(Objective):
    """DPO in which a token counts more where a guide, a model that has learned preferences before, prefers it.

    Zhu et al. 2025, arXiv 2506.14574, the loss with practical reward guidance. The guide's reward of a token is
    log(guide / reference); it weights the token's log-ratio by 1 + alpha beta reward in the chosen response and by
    1 - alpha beta reward in the rejected one, and a weight may turn negative. At policy == reference the loss is log 2
    and the reward 0.
    """

    name: ClassVar[str] = "tgdpo"
    title: ClassVar[str] = "TGDPO"
    family: ClassVar[str] = "Token by token"
    formula: ClassVar[str] = (
        r"-\log\sigma\!\left(\sum_t\beta\left(1+\alpha\beta g_t^w\right)"
        r"\log\frac{\pi(y_t^w)}{\pi_{\mathrm{ref}}(y_t^w)}"
        r"-\sum_t\beta\left(1-\alpha\beta g_t^l\right)\log\frac{\pi(y_t^l)}{\pi_{\mathrm{ref}}(y_t^l)}\right),\quad "
        r"g_t=\log\frac{\pi_{\mathrm{guide}}(y_t)}{\pi_{\mathrm{ref}}(y_t)}"
    )
    paper: ClassVar[Paper] = Paper(
        "TGDPO: Harnessing Token-Level Reward Guidance for Enhancing Direct Preference Optimization",
        "Zhu et al.",
        2025,
        "2506.14574",
        "",
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = Needs(
        PAIR,
        reference="tokens",
        third=frozenset({GUIDE}),
        tokens=frozenset({TokenValue.LOGPS}),
        of_third=frozenset({OtherValue.LOGPS}),
    )
    fixes: ClassVar[str] = "DPO spreads a preference evenly over all tokens of a response; a guide says where it lies."
    costs: ClassVar[str] = (
        "A model trained on preferences is needed first, and both it and the reference at every step."
    )
    ranges: ClassVar[Mapping[str, Range]] = {"alpha": Range(0.5, 2.0, "0.5 with a DPO guide in the authors' code")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "Equals DPO at alpha = 0, and where the guide is the reference.", at={"alpha": 0.0}),
    )

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    alpha: float = Field(0.5, ge=0, le=100, title="Alpha", description="How much the guide's rewards of tokens count.")

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid of the difference of the weighted log-ratios, (examples,)."""
        chosen, rejected = batch.sides(self.rewards(batch))
        return -log_sigmoid(chosen - rejected)

    def rewards(self, batch: Batch) -> Tensor:
        """beta * the weighted log-ratios of its tokens, (S,)."""
        tokens = batch.each_token()
        guided = tokens.other(GUIDE, OtherValue.LOGPS) - tokens.other(REFERENCE, OtherValue.LOGPS)
        sign = 1 - 2 * (batch.role == int(Role.REJECTED)).to(guided.dtype)
        weights = 1 + self.alpha * self.beta * sign[tokens.sequence] * guided
        return self.beta * tokens.added(weights * tokens.ratios, len(batch.logps))
