"""Anchored preference optimization on scored lists, as a KL divergence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from alignment.objectives.anchored import Anchored
from alignment.objectives.objective import Fidelity, Paper, Range, Relative, State

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class ADPOKL(Anchored):
    """KL divergence from the softmax of a list's scores to the softmax of log(policy / anchor) / tau.

    Wang 2025, arXiv 2510.18913; the anchor is the reference. It is 0 where both agree, so its value says
    how far there is to go: where policy equals anchor it is log K less the entropy of the scores' softmax. Adding a
    constant to all log-ratios changes nothing.
    """

    name: ClassVar[str] = "adpo_list_kl"
    title: ClassVar[str] = "ADPO (lists, KL)"
    formula: ClassVar[str] = (
        r"\sum_i q_i\log\frac{q_i}{p_i},\quad "
        r"p=\mathrm{softmax}\Big(\frac1\tau\log\frac{\pi(y_i)}{\pi_{\mathrm{ref}}(y_i)}\Big),"
        r"\quad q=\mathrm{softmax}\Big(\frac{r_i}{\beta_r}\Big)"
    )
    paper: ClassVar[Paper] = Paper("ADPO: Anchored Direct Preference Optimization", "Wang", 2025, "2510.18913", "")
    fidelity: ClassVar[Fidelity] = "authors_code"
    fixes: ClassVar[str] = "Learns from soft scores of a list while an anchor keeps the policy near."
    costs: ClassVar[str] = "Works on summed log-probabilities, so long responses move it most."
    ranges: ClassVar[Mapping[str, Range]] = {"tau": Range(0.8, 1.0), "beta_r": Range(0.5, 0.5)}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("adpo_list_ce", "Cross-entropy differs by the entropy of the scores, which has no gradient."),
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """sum of q (log q - log p), (examples,)."""
        lists = batch.lists()
        targets = lists.shares(lists.facts["score"] / self.beta_r)
        ours = lists.log_shares(lists.ratios / self.tau)
        known = lists.log_shares(lists.facts["score"] / self.beta_r)
        return (targets * (known - ours)).sum(dim=1)
