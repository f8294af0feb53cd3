"""DPO with an offset that the data give."""

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

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class ODPOOffset(Objective):
    """DPO whose margin must exceed an offset that each pair brings along: its margin, or the gap of its scores.

    Amini et al. 2024, arXiv 2402.10571, the loss ODPO in its general form.  The offset is on the scale of the implicit
    rewards; a negative one makes the pair easier than DPO does.  Where policy and reference agree, the loss is
    log(1 + e^margin).
    """

    name: ClassVar[str] = "odpo_offset"
    title: ClassVar[str] = "ODPO, offset as given"
    family: ClassVar[str] = "Pairs with scores"
    formula: ClassVar[str] = (
        r"-\log\sigma\!\left(\beta h-\Delta\right),\quad "
        r"h=\log\frac{\pi(y_w)}{\pi_{\mathrm{ref}}(y_w)}-\log\frac{\pi(y_l)}{\pi_{\mathrm{ref}}(y_l)}"
    )
    paper: ClassVar[Paper] = Paper(
        "Direct Preference Optimization with an Offset", "Amini et al.", 2024, "2402.10571", ""
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE._replace(facts=frozenset({"margin"}))
    fixes: ClassVar[str] = (
        "Lets strengths of labels or differences of rewards say how far apart two answers have to come."
    )
    costs: ClassVar[str] = (
        "The offset is taken as it stands: strengths from 1 to 3, say, ask for a reward difference of 1 to 3, which "
        "a small beta turns into a large log-ratio."
    )
    ranges: ClassVar[Mapping[str, Range]] = {
        "beta": Range(0.05, 0.7, "0.7 for sentiment, 0.05 for toxicity, 0.5 for summaries")
    }
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "With an offset of 0 it is DPO."),
        Relative("odpo_log", "That one computes the offset from two scores."),
    )

    beta: float = Field(
        0.05, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta h - margin), (examples,)."""
        pairs = batch.pairs()
        return -log_sigmoid(self.beta * pairs.margin - pairs.chosen.facts["margin"])

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios
