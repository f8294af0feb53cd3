"""Any loss of whole responses, by token."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.composite import joined
from alignment.objectives.dpo import DPO
from alignment.objectives.modifier import Modifier, UncountedBase
from alignment.objectives.objective import Fidelity, Needs, Paper, Relative

if TYPE_CHECKING:
    from alignment.objectives.batch import Batch


class LengthNormalized(Modifier):
    """Lets the base see each response as if it were one token: log-probabilities divided by the response's length.

    Lambert et al. 2024, arXiv 2411.15124, for any base that sees responses as wholes, and not how long they are.  The
    base's hyperparameters are then on a scale per token: a beta of DPO that was 0.1 is rather 1 to 5.  Where policy and
    reference agree, it is what the base is there.
    """

    name: ClassVar[str] = "length_normalized"
    title: ClassVar[str] = "Length normalization"
    family: ClassVar[str] = "Made of parts"
    formula: ClassVar[str] = (
        r"\mathcal{L}\!\left(\tfrac{1}{|y|}\log\pi(y),\ \tfrac{1}{|y|}\log\pi_{\mathrm{ref}}(y)\right)"
    )
    paper: ClassVar[Paper] = Paper(
        "Tulu 3: Pushing Frontiers in Open Language Model Post-Training",
        "Lambert et al.",
        2024,
        "2411.15124",
        "",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = joined(Needs(frozenset(), lengths=True))
    fixes: ClassVar[str] = "Long responses, whose sums of log-ratios are larger, no longer decide what is learned."
    costs: ClassVar[str] = "Each token of a short response weighs more; the base's scale must be chosen anew."
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("ipo_avg", "With IPO on sums as its base it is IPO on averages."),
    )

    base: UncountedBase = Field(DPO(beta=2.0), title="Base", description="The objective that is to see averages.")

    def seen(self, batch: Batch) -> Batch:
        """The batch with averages for sums, and one token to each response."""
        reference = None if batch.reference is None else batch.reference / batch.lengths
        ones = batch.lengths.new_ones(len(batch.lengths))
        return replace(batch, logps=batch.logps / batch.lengths, reference=reference, lengths=ones)
