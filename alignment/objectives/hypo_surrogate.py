"""DPO on pairs with a KL penalty on what the policy says now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.batch import Role
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


class HyPO(Objective):
    """DPO on fixed pairs plus the reverse KL divergence, estimated on a fresh sample of the policy.

    Song et al. 2024, arXiv 2406.01462; the surrogate is reconstructed: lam times the sample's log-ratio, held constant,
    times its log-probability, whose gradient is that of the divergence in expectation (its value is not the
    divergence).  Where policy and reference agree, the loss is log 2.
    """

    name: ClassVar[str] = "hypo_surrogate"
    title: ClassVar[str] = "HyPO"
    family: ClassVar[str] = "Pairs with more than labels"
    formula: ClassVar[str] = (
        r"-\log\sigma(\beta h)+\lambda\,\mathrm{sg}\!\left(\log\frac{\pi(y)}{\pi_{\mathrm{ref}}(y)}\right)\log\pi(y),"
        r"\quad y\sim\pi,\quad "
        r"h=\log\frac{\pi(y_w)}{\pi_{\mathrm{ref}}(y_w)}-\log\frac{\pi(y_l)}{\pi_{\mathrm{ref}}(y_l)}"
    )
    paper: ClassVar[Paper] = Paper(
        "The Importance of Online Data: Understanding Preference Fine-tuning via Coverage",
        "Song et al.",
        2024,
        "2406.01462",
        "",
    )
    fidelity: ClassVar[Fidelity] = "reconstruction"
    needs: ClassVar[Needs] = Needs(PAIR | {Role.POLICY_SAMPLE}, reference="sequence")
    fixes: ClassVar[str] = (
        "Pairs that cover little leave DPO free to drift where they say nothing; a penalty on fresh samples holds it."
    )
    costs: ClassVar[str] = "The policy has to answer prompts while it trains, which a run on fixed data does not do."
    ranges: ClassVar[Mapping[str, Range]] = {}
    relatives: ClassVar[tuple[Relative, ...]] = (Relative("dpo", "Equals DPO at lambda = 0.", at={"lam": 0.0}),)

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    lam: float = Field(1e-4, ge=0, le=100, title="Lambda", description="Strength of the KL penalty; 0 gives DPO.")

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta h) + lam sg(log-ratio of the sample) log policy(sample), (examples,)."""
        drawn = batch.of(Role.POLICY_SAMPLE)
        return self.lam * drawn.ratios.detach() * drawn.logps - log_sigmoid(self.beta * batch.pairs().margin)

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios
