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
    varying,
)

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class HyPO(Objective):
    """DPO on fixed pairs plus the reverse KL divergence, estimated on fresh samples of the policy.

    Song et al. 2024, arXiv 2406.01462; the surrogate is reconstructed: lam times a sample's log-ratio, held constant,
    times its log-probability, averaged over the samples of a prompt, whose gradient is that of the divergence in
    expectation (its value is not the divergence; the metric kl is its estimate).  A sample that is cut short stands for
    its first tokens.  Evaluations draw none, and tell DPO's loss.  Where policy and reference agree, the loss is log 2.
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
    needs: ClassVar[Needs] = varying(
        Needs(PAIR | {Role.POLICY_SAMPLE}, reference="tokens"),
        lambda own: Needs(frozenset(), samples=own.samples, sample_tokens=own.sample_tokens),
    )
    fixes: ClassVar[str] = (
        "Pairs that cover little leave DPO free to drift where they say nothing; a penalty on fresh samples holds it."
    )
    costs: ClassVar[str] = "The policy answers every prompt of a step before it, and the reference stays in memory."
    ranges: ClassVar[Mapping[str, Range]] = {}
    relatives: ClassVar[tuple[Relative, ...]] = (Relative("dpo", "Equals DPO at lambda = 0.", at={"lam": 0.0}),)

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    lam: float = Field(1e-4, ge=0, le=100, title="Lambda", description="Strength of the KL penalty; 0 gives DPO.")
    samples: int = Field(1, ge=1, le=16, title="Samples", description="Answers drawn to each prompt of a step.")
    sample_tokens: int = Field(
        64, ge=1, le=4096, title="Sample tokens", description="Tokens of a sample at most: the rest is not drawn."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta h) + lam mean sg(log-ratio of a sample) log policy(sample), (examples,)."""
        drawn = batch.of(Role.POLICY_SAMPLE)
        total = batch.added(drawn.ratios.detach() * drawn.logps, drawn)
        number = batch.added(drawn.logps.new_ones(len(drawn.logps)), drawn).clamp(min=1)
        return self.lam * total / number - log_sigmoid(self.beta * batch.pairs().margin)

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios
