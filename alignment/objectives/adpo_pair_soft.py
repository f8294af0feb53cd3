"""Anchored preference optimization of pairs with soft labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.objective import (
    PAIRED_WITH_REFERENCE,
    Fidelity,
    Needs,
    Objective,
    Paper,
    Range,
    Relative,
    State,
    log_sigmoid,
)
from alignment.objectives.pairs import AnchorDecay, following

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class ADPOPairSoft(Objective):
    """Cross-entropy between the probability that chosen is better and what the margin against the anchor makes of it.

    Wang 2025, arXiv 2510.18913; the form for a pair is reconstructed from its ingredients.  The anchor is the
    reference, or with `anchor_decay` the moving average of the policy's weights.  The margin has a finite optimum,
    logit(q) / beta; where policy and reference agree, the loss is log 2.
    """

    name: ClassVar[str] = "adpo_pair_soft"
    title: ClassVar[str] = "ADPO, soft pairs"
    family: ClassVar[str] = "Pairs with soft labels"
    formula: ClassVar[str] = (
        r"-q\log\sigma(\beta h)-(1-q)\log\sigma(-\beta h),\quad "
        r"h=\log\frac{\pi(y_w)}{\pi_{\mathrm{ref}}(y_w)}-\log\frac{\pi(y_l)}{\pi_{\mathrm{ref}}(y_l)}"
    )
    paper: ClassVar[Paper] = Paper("ADPO: Anchored Direct Preference Optimization", "Wang", 2025, "2510.18913", "")
    fidelity: ClassVar[Fidelity] = "reconstruction"
    needs: ClassVar[Needs] = following(PAIRED_WITH_REFERENCE._replace(facts=frozenset({"soft_label"})))
    fixes: ClassVar[str] = (
        "Learns how sure a label is: pairs on which people are divided are not pushed apart for ever."
    )
    costs: ClassVar[str] = "Soft labels have to come from several votes or a calibrated judge."
    ranges: ClassVar[Mapping[str, Range]] = {"beta": Range(1.0, 1.25, "tau = 1/beta from 0.8 to 1")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "Where every label is sure (q = 1) it is DPO."),
        Relative("cdpo", "cDPO has one error rate for all pairs: q = 1 - epsilon."),
    )

    beta: float = Field(
        1.0, gt=0, le=100, title="Beta", description="Strength of the pull towards the anchor, 1/tau in the paper."
    )
    anchor_decay: AnchorDecay = None

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-q log sigmoid(beta h) - (1-q) log sigmoid(-beta h), (examples,)."""
        pairs = batch.pairs()
        q, z = pairs.chosen.facts["soft_label"], self.beta * pairs.margin
        return -q * log_sigmoid(z) - (1 - q) * log_sigmoid(-z)

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios
