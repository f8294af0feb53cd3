"""A margin that any comparison must exceed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.batch import Role
from alignment.objectives.composite import joined
from alignment.objectives.dpo import DPO
from alignment.objectives.modifier import ComparedBase, Modifier
from alignment.objectives.objective import PAIRED, Fidelity, Needs, Paper, Relative

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch

_MARGIN = Needs(frozenset(), facts=frozenset({"margin"}))
_NOTHING = Needs(frozenset())


class Offset(Modifier):
    """Lets the base see chosen responses as less likely than they are, by a constant and by the data's margin.

    Amini et al. 2024, arXiv 2402.10571, for any base of pairs that sees responses as wholes: the base then
    asks for that much more.  Offsets are in nats of log-probability: for DPO and a margin m of rewards, `scale` is
    1/beta.  Rewards are those of the base without the offset.  Without an offset, and where policy and reference agree,
    it is what the base is there.
    """

    name: ClassVar[str] = "offset"
    title: ClassVar[str] = "Offset"
    family: ClassVar[str] = "Made of parts"
    formula: ClassVar[str] = r"\mathcal{L}\!\left(\log\pi(y_w)-c-s\,m,\ \log\pi(y_l)\right)"
    paper: ClassVar[Paper] = Paper(
        "Direct Preference Optimization with an Offset", "Amini et al.", 2024, "2402.10571", ""
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = joined(PAIRED, lambda offset: _MARGIN if offset.scale else _NOTHING)
    fixes: ClassVar[str] = "Pairs of which one response is far better ask for a larger margin than close ones."
    costs: ClassVar[str] = "Margins are in nats of log-probability, so they go with the base's scale."
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "Without constant and scale it is its base.", {"constant": 0.0, "scale": 0.0}),
    )

    constant: float = Field(
        0.0, ge=-1e4, le=1e4, title="Constant", description="Offset of every pair, in nats of log-probability."
    )
    scale: float = Field(
        0.0, ge=0, le=1e4, title="Scale", description="Nats for each unit of the data's margin; above 0 data need one."
    )
    base: ComparedBase = Field(DPO(), title="Base", description="The objective that is to ask for more.")

    def seen(self, batch: Batch) -> Batch:
        """The batch with chosen log-probabilities lowered by the offset."""
        offset = batch.logps.new_full((len(batch.logps),), self.constant)
        if self.scale:
            offset = offset + self.scale * batch.facts["margin"]
        chosen = batch.role == int(Role.CHOSEN)  # responses that were formed beside the pair have no margin
        return replace(batch, logps=batch.logps - offset.where(chosen, 0))

    def rewards(self, batch: Batch) -> Tensor:
        """The base's, of the batch as it is, (S,)."""
        return self.base.rewards(batch)
