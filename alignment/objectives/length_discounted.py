"""Any loss of pairs, less swayed by length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.batch import REFERENCE, OtherValue, TokenValue
from alignment.objectives.composite import joined
from alignment.objectives.dpo import DPO
from alignment.objectives.ld_dpo import discounts
from alignment.objectives.modifier import Modifier, UncountedComparedBase
from alignment.objectives.objective import PAIR, Fidelity, Needs, Paper, Range, Relative

if TYPE_CHECKING:
    from alignment.objectives.batch import Batch


def _needs(modifier: LengthDiscounted) -> Needs:
    compared = modifier.base.needs.reference != "none"
    return Needs(frozenset(), reference="tokens" if compared else "none")


class LengthDiscounted(Modifier):
    """Lets what a response has beyond the shorter one of its pair count less, whatever the base compares.

    Liu et al. 2024, arXiv 2409.06411, for any base of pairs that sees responses as wholes, and not how long they are:
    the base sees the sum of a response's first m log-probabilities and alpha times that of the rest, of the policy and
    of the reference, where m is the length of the shorter response.  Where policy and reference agree, a base that
    reads log-ratios is what it is without.
    """

    name: ClassVar[str] = "length_discounted"
    title: ClassVar[str] = "Length discount"
    family: ClassVar[str] = "Made of parts"
    formula: ClassVar[str] = (
        r"\mathcal{L}\!\left(\log\hat\pi(y),\ \log\hat\pi_{\mathrm{ref}}(y)\right),\quad"
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
    needs: ClassVar[Needs] = joined(Needs(PAIR, tokens=frozenset({TokenValue.LOGPS}), lengths=True), _needs)
    fixes: ClassVar[str] = (
        "Longer responses have larger sums, which a loss of sums rewards by itself: here it does so less."
    )
    costs: ClassVar[str] = "What a longer response says late is hardly learned; a reference is asked at every step."
    ranges: ClassVar[Mapping[str, Range]] = {"alpha": Range(0.3, 0.6, "where the paper's models were best")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("ld_dpo", "With DPO as its base it is LD-DPO that discounts the reference, too."),
        Relative("dpo", "At alpha = 1 it is its base.", at={"alpha": 1.0}),
    )

    alpha: float = Field(
        0.5, ge=0, le=1, title="Alpha", description="Weight of the tokens beyond the shorter response's length."
    )
    base: UncountedComparedBase = Field(DPO(), title="Base", description="The objective that sees discounted sums.")

    def seen(self, batch: Batch) -> Batch:
        """The batch with discounted sums."""
        tokens, count = batch.each_token(), len(batch.logps)
        weights = discounts(batch, self.alpha)
        logps = tokens.added(weights * tokens.values[TokenValue.LOGPS], count)
        if batch.reference is None or self.base.needs.reference == "none":
            return replace(batch, logps=logps)
        reference = tokens.added(weights * tokens.other(REFERENCE, OtherValue.LOGPS), count)
        return replace(batch, logps=logps, reference=reference)
