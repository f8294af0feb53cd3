"""Anchored preference optimization on scored lists, as cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from alignment.objectives.anchored import Anchored
from alignment.objectives.objective import Fidelity, Paper, Range, Relative, State

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class ADPOCE(Anchored):
    """Cross-entropy from the softmax of a list's scores to the softmax of log(policy / anchor) / tau.

    Wang 2025, arXiv 2510.18913; the anchor is the reference, or with `anchor_decay` the
    moving average of the policy's weights. Where policy equals anchor it is log K.
    Adding a constant to all log-ratios changes nothing.
    """

    name: ClassVar[str] = "adpo_list_ce"
    title: ClassVar[str] = "ADPO (lists)"
    formula: ClassVar[str] = (
        r"-\sum_i q_i\log p_i,\quad p=\mathrm{softmax}\Big(\frac1\tau\log\frac{\pi(y_i)}{\pi_{\mathrm{ref}}(y_i)}\Big),"
        r"\quad q=\mathrm{softmax}\Big(\frac{r_i}{\beta_r}\Big)"
    )
    paper: ClassVar[Paper] = Paper("ADPO: Anchored Direct Preference Optimization", "Wang", 2025, "2510.18913", "")
    fidelity: ClassVar[Fidelity] = "authors_code"
    fixes: ClassVar[str] = "Learns from soft scores of a list while an anchor keeps the policy near."
    costs: ClassVar[str] = "Works on summed log-probabilities, so long responses move it most."
    ranges: ClassVar[Mapping[str, Range]] = {"tau": Range(0.8, 1.0), "beta_r": Range(0.5, 0.5)}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "Two responses with all the weight on one and tau = 1/beta give DPO."),
        Relative("adpo_list_kl", "The KL form differs by the entropy of the scores, which has no gradient."),
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-sum of q log p, (examples,)."""
        lists = batch.lists()
        targets = lists.shares(lists.facts["score"] / self.beta_r)
        ours = lists.log_shares(lists.ratios / self.tau)
        return -(targets * ours).sum(dim=1)
