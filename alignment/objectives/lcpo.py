"""Any loss of pairs by labels that may be wrong: how reliable annotators are is found out while training."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from alignment.objectives.composite import joined
from alignment.objectives.dpo import DPO
from alignment.objectives.modifier import Modifier, PairBase, swapped
from alignment.objectives.objective import PAIRED, Fidelity, Needs, Paper, Relative, State, log_sigmoid

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch

_BY_ANNOTATOR = Needs(frozenset(), facts=frozenset({"annotator"}))
_BY_NOBODY = Needs(frozenset())


class LCPO(Modifier):
    """Believes each label as far as its annotator's reliability and the model itself make it probable.

    Latent Collective Preference Optimization, arXiv 2509.24159 (later RE-PO).  With
    p = sigmoid(base's loss of the swapped pair - base's loss of the pair), a label is right with probability
    c = p eta / (p eta + (1-p) (1-eta)); the loss is -c log p - (1-c) log(1-p), c a constant; after the step each
    annotator's eta moves by `ema` towards the mean of their c.  For bases that are no likelihood (IPO, SimPO with a
    margin) p is a surrogate.  Where policy and reference agree, and the base then does not tell the sides apart, the
    loss is log 2.
    """

    name: ClassVar[str] = "lcpo"
    title: ClassVar[str] = "LCPO"
    family: ClassVar[str] = "Made of parts"
    formula: ClassVar[str] = (
        r"-c\log p-(1-c)\log(1-p),\quad p=\sigma\!\left(\mathcal{L}(y_l,y_w)-\mathcal{L}(y_w,y_l)\right),\quad "
        r"c=\frac{p\,\eta_k}{p\,\eta_k+(1-p)(1-\eta_k)}"
    )
    paper: ClassVar[Paper] = Paper(
        "Latent Collective Preference Optimization: A General Framework for Robust LLM Alignment",
        "Cao et al.",
        2025,
        "2509.24159",
        "",
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = joined(
        PAIRED._replace(state=True), lambda lcpo: _BY_ANNOTATOR if lcpo.annotators == "each" else _BY_NOBODY
    )
    fixes: ClassVar[str] = "Labels of unknown quality: wrong ones are found while training, and those who give them."
    costs: ClassVar[str] = "What the model does not believe early it may never learn: eta should begin high."
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("cdpo", "With DPO as its base it is cDPO with an epsilon, 1 - c, for each pair."),
    )

    base: PairBase = Field(DPO(), title="Base", description="The objective whose labels may be wrong.")
    annotators: Literal["one", "each"] = Field(
        "one", title="Annotators", description="One reliability for all labels, or one for each annotator of the data."
    )
    eta0: float = Field(
        0.9, ge=0.5, lt=1, title="Eta at first", description="Reliability of an annotator before the first step."
    )
    ema: float = Field(
        0.1, ge=0, le=1, title="EMA", description="How far one step moves a reliability towards its batch's."
    )

    def start(self) -> dict[str, Tensor]:
        """One reliability, of the first annotator; others begin as they appear."""
        import torch

        return {"eta": torch.full((1,), self.eta0, dtype=torch.float64)}

    def move(self, batch: Batch, state: State) -> dict[str, Tensor]:
        """Each annotator's reliability, moved towards the mean probability that their labels of the batch are right."""
        who = self._who(batch)
        eta = self._known(state.values["eta"], int(who.max()) + 1)
        right = self.right(self._odds(batch, state).to(eta), eta[who])
        number = eta.new_zeros(len(eta)).index_add(0, who, eta.new_ones(len(who)))
        mean = eta.new_zeros(len(eta)).index_add(0, who, right) / number.clamp(min=1)
        return {"eta": (eta + self.ema * (mean - eta)).where(number > 0, eta)}

    def loss(self, batch: Batch, state: State) -> Tensor:
        """-c log p - (1-c) log(1-p), (examples,), with the reliabilities that the step found."""
        odds, who = self._odds(batch, state), self._who(batch)
        eta = self._known(state.values["eta"], int(who.max()) + 1)[who].to(odds)
        c = self.right(odds.detach(), eta)
        return -c * log_sigmoid(odds) - (1 - c) * log_sigmoid(-odds)

    @staticmethod
    def right(odds: Tensor, eta: Tensor) -> Tensor:
        """c: how probable it is that each label is right, from log p - log(1-p) and the annotators' reliabilities."""
        return (odds + eta.logit()).sigmoid()

    def _odds(self, batch: Batch, state: State) -> Tensor:
        """log p - log(1-p), (examples,)."""
        return super().loss(swapped(batch), state) - super().loss(batch, state)

    def _who(self, batch: Batch) -> Tensor:
        """The annotator of each example, as a number from 0."""
        chosen = batch.pairs().chosen
        return chosen.facts["annotator"].long() if self.annotators == "each" else chosen.example * 0

    def _known(self, eta: Tensor, least: int) -> Tensor:
        """Reliabilities of at least so many annotators; those who are new begin as all did."""
        import torch

        return torch.cat([eta, eta.new_full((max(0, least - len(eta)),), self.eta0)])
