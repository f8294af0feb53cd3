"""DPO for rankings, by the Plackett-Luce model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from alignment.objectives.batch import NOTHING
from alignment.objectives.listed import RANKED, Listed
from alignment.objectives.objective import Fidelity, Needs, Paper, Relative, State

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class PLDPO(Listed):
    """The likelihood of a whole ranking: each response is chosen among those that are not ranked above it.

    Liu et al. 2024, arXiv 2402.01878, equation 7, after Rafailov et al. 2023, arXiv 2305.18290, appendix A.3. Where
    policy equals reference the loss of K responses without ties is log K!. Responses that share a rank are each chosen
    among the others of that rank and those below, and those of the last rank are chosen among nobody.
    """

    name: ClassVar[str] = "pl_dpo"
    title: ClassVar[str] = "DPO-PL"
    formula: ClassVar[str] = (
        r"-\sum_{k<K}\Big[s_{(k)}-\log\sum_{j\ge k}e^{s_{(j)}}\Big],\quad "
        r"s_i=\beta\log\frac{\pi(y_i)}{\pi_{\mathrm{ref}}(y_i)}"
    )
    paper: ClassVar[Paper] = Paper(
        "LiPO: Listwise Preference Optimization through Learning-to-Rank", "Liu et al.", 2024, "2402.01878", "7"
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = RANKED
    fixes: ClassVar[str] = "Learns from a whole ranking at once instead of from pairs made of it."
    costs: ClassVar[str] = "Only the order counts: how far apart two responses are is not used."
    relatives: ClassVar[tuple[Relative, ...]] = (Relative("dpo", "A ranking of two responses gives DPO."),)

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """-sum over responses, but those of the last rank, of log softmax among the ones not above, (examples,)."""
        lists = batch.lists()
        rank, scores = lists.facts["rank"], self.beta * lists.ratios
        among = ~lists.above(-rank).transpose(1, 2) & lists.mask[:, None, :]  # [i, j]: j is not above i
        whole = scores[:, None, :].expand(among.shape).masked_fill(~among, NOTHING).logsumexp(dim=2)
        chosen = lists.above(-rank).any(dim=2)  # above somebody
        return (whole - scores).masked_fill(~chosen, 0.0).sum(dim=1)
