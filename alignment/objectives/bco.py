"""Binary classifier optimization: single answers with a thumb, around a running mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from alignment.objectives.batch import Role
from alignment.objectives.facts import WANTED_PROMPT
from alignment.objectives.objective import (
    Fidelity,
    Needs,
    Objective,
    Paper,
    Range,
    Relative,
    State,
    log_sigmoid,
    varying,
)
from alignment.parts import Part

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


class Alike(Part):
    """Every unwanted answer weighs 1."""

    kind: Literal["none"] = "none"


class ByPrompts(Part):
    """Each weighs the odds that its prompt is one of a wanted answer (underlying distribution matching)."""

    kind: Literal["prompts"] = "prompts"
    min_ratio: float = Field(0.5, gt=0, le=1, title="Least weight", description="What lower odds are raised to.")
    max_ratio: float = Field(10.0, ge=1, le=1e6, title="Greatest weight", description="What higher odds are cut to.")

    def weights(self, wanted: Tensor) -> Tensor:
        """p / (1 - p), clipped, without gradient; `wanted` is p of each answer's prompt."""
        return (wanted / (1 - wanted).clamp(min=1e-12)).clamp(self.min_ratio, self.max_ratio).detach()


class BCO(Objective):
    """Trains the policy as a classifier of wanted and unwanted answers, whose threshold follows the rewards it gives.

    Jung et al. 2024, arXiv 2404.04656. The threshold is the mean of all rewards seen so far, this optimizer batch
    included, without gradient: over all answers (pooled, as in TRL), or the midpoint of both classes'
    means (as in the paper); the two agree where classes are of equal size. Where people give thumbs down to other
    prompts than thumbs up, `matching` weighs each unwanted answer by the odds p / (1 - p) that its prompt is one of a
    wanted answer, clipped to a range; p is that of a logistic regression on prompts as the reference reads them
    (`alignment.training.matching`). Where policy equals reference the loss is log 2 times the weight.
    """

    name: ClassVar[str] = "bco"
    title: ClassVar[str] = "BCO"
    family: ClassVar[str] = "Single answers"
    formula: ClassVar[str] = (
        r"-\log\sigma(\beta D-\delta)\ \text{wanted},\quad -r\log\sigma(\delta-\beta D)\ \text{unwanted},\quad "
        r"D=\log\frac{\pi(y)}{\pi_{\mathrm{ref}}(y)},\ \delta=\overline{\beta D},"
        r"\ r=1\ \text{or}\ \mathrm{clip}\frac{p}{1-p}"
    )
    paper: ClassVar[Paper] = Paper(
        "Binary Classifier Optimization for Large Language Model Alignment", "Jung et al.", 2024, "2404.04656", ""
    )
    fidelity: ClassVar[Fidelity] = "paper"
    needs: ClassVar[Needs] = varying(
        Needs(frozenset({Role.DESIRABLE, Role.UNDESIRABLE}), reference="sequence", state=True),
        lambda own: Needs(frozenset(), facts=frozenset({WANTED_PROMPT} if own.matching.kind == "prompts" else ())),
    )
    fixes: ClassVar[str] = "Learns from thumbs alone, and goes on learning from answers that are far on the wrong side."
    costs: ClassVar[str] = "The threshold remembers all rewards since the start, so it lags behind a fast policy."
    ranges: ClassVar[Mapping[str, Range]] = {"beta": Range(0.01, 0.1, "0.01 in TRL's recipe")}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("kto", "KTO measures from the mean log-ratio of other prompts' answers, and saturates."),
    )

    beta: float = Field(
        0.01, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
    shift: Literal["pooled", "midpoint"] = Field(
        "pooled",
        title="Threshold",
        description="Mean of all rewards (pooled), or midpoint of the means of wanted and of unwanted answers.",
    )

    matching: Annotated[Alike | ByPrompts, Field(discriminator="kind")] = Field(
        Alike(), title="Unwanted answers", description="How much each of them weighs."
    )

    def start(self) -> dict[str, Tensor]:
        """Nothing seen yet: the sums and the numbers of rewards of wanted and of unwanted answers, (2,) each."""
        import torch

        return {"sums": torch.zeros(2, dtype=torch.float64), "counts": torch.zeros(2, dtype=torch.float64)}

    def move(self, batch: Batch, state: State) -> dict[str, Tensor]:
        """The batch's rewards join those seen so far."""
        own = batch.of(Role.DESIRABLE, Role.UNDESIRABLE)
        rewards, wanted = (self.beta * own.ratios).double(), own.are(Role.DESIRABLE).double()
        seen = rewards.new_ones(len(rewards))
        return {
            "sums": state.values["sums"] + _by_class(rewards, wanted),
            "counts": state.values["counts"] + _by_class(seen, wanted),
        }

    def loss(self, batch: Batch, state: State) -> Tensor:
        """-log sigmoid(beta D - delta) wanted, of the others -r log sigmoid(delta - beta D), (examples,)."""
        own = batch.of(Role.DESIRABLE, Role.UNDESIRABLE)
        above = self.beta * own.ratios - self._threshold(state).to(own.ratios.dtype)
        loss = -log_sigmoid(above.where(own.are(Role.DESIRABLE), -above))
        if isinstance(self.matching, ByPrompts):
            loss = loss.where(own.are(Role.DESIRABLE), loss * self.matching.weights(own.facts[WANTED_PROMPT]))
        return batch.added(loss, own)

    def rewards(self, batch: Batch) -> Tensor:
        """beta * log(policy / reference), (S,)."""
        return self.beta * batch.singles().ratios

    def _threshold(self, state: State) -> Tensor:
        """delta, (); the pooled mean as long as only one class was seen."""
        seen = state.moved or self.start()
        sums, counts = seen["sums"], seen["counts"]
        pooled = sums.sum() / counts.sum().clamp(min=1)
        if self.shift == "pooled":
            return pooled
        return (sums / counts.clamp(min=1)).mean().where(counts.min() > 0, pooled)


def _by_class(values: Tensor, wanted: Tensor) -> Tensor:
    """The sum over wanted answers, then over unwanted ones, (2,)."""
    found = values.new_zeros(2)
    found[0], found[1] = (values * wanted).sum(), (values * (1 - wanted)).sum()
    return found
