"""DPO with an offset that grows with the logarithm of the gap of two scores."""

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

LEAST_GAP = 1e-6


class ODPOLog(Objective):
    """DPO whose margin must exceed an offset: alpha times the logarithm of how much better the chosen response scores.

    Amini et al. 2024, arXiv 2402.10571, the loss ODPO with the offset of its experiments.  A gap of 1 asks for no
    offset and a smaller one for a negative offset; gaps below 1e-6 count as 1e-6 (clamp), so that single precision
    never takes the logarithm of 0.  Where policy and reference agree, the loss is log(1 + gap^alpha).
    """

    name: ClassVar[str] = "odpo_log"
    title: ClassVar[str] = "ODPO"
    family: ClassVar[str] = "Pairs with scores"
    formula: ClassVar[str] = (
        r"-\log\sigma\!\left(\beta h-\alpha\log(s_w-s_l)\right),\quad "
        r"h=\log\frac{\pi(y_w)}{\pi_{\mathrm{ref}}(y_w)}-\log\frac{\pi(y_l)}{\pi_{\mathrm{ref}}(y_l)}"
    )
    paper: ClassVar[Paper] = Paper(
        "Direct Preference Optimization with an Offset", "Amini et al.", 2024, "2402.10571", ""
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE._replace(facts=frozenset({"score"}))
    fixes: ClassVar[str] = (
        "DPO treats a pair of near equals like one of a good and a terrible answer; here clearly better answers "
        "must be told apart more clearly, which pays most where pairs are few."
    )
    costs: ClassVar[str] = (
        "Scores must be on a scale that means something: multiplying all of them shifts every offset alike. Pairs "
        "whose scores contradict their order are refused."
    )
    ranges: ClassVar[Mapping[str, Range]] = {
        "beta": Range(0.05, 0.7, "0.7 for sentiment, 0.05 for toxicity, 0.5 for summaries"),
        "alpha": Range(0.5, 1.0, "0.5 for sentiment, 1.0 for toxicity and summaries"),
    }
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "Without an offset it is DPO.", {"alpha": 0.0}),
        Relative("odpo_offset", "The same with any margin that the data hold as the offset itself."),
    )

    beta: float = Field(
        0.5, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    alpha: float = Field(1.0, ge=0, le=100, title="Alpha", description="Scale of the offset; 0 gives DPO.")

    def objection(self, facts: Mapping[str, tuple[float, ...]]) -> str | None:
        """The offset is the logarithm of a difference, so the chosen response has to score higher."""
        chosen, rejected = facts["score"][:2]
        if chosen > rejected:
            return None
        return (
            f"scores its chosen response {chosen:g} and its rejected one {rejected:g}, and ODPO needs the first higher"
        )

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-log sigmoid(beta h - alpha log(score gap)), (examples,)."""
        pairs = batch.pairs()
        gap = (pairs.chosen.facts["score"] - pairs.rejected.facts["score"]).clamp(min=LEAST_GAP)
        return -log_sigmoid(self.beta * pairs.margin - self.alpha * gap.log())

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios
