"""The loss of preference trees step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from alignment.objectives.batch import Cut, StepValue, TokenValue, step
from alignment.objectives.listed import LIST, Listed, ordered
from alignment.objectives.objective import Fidelity, Needs, Paper, Range, Relative, State, varying

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.objectives.batch import Batch


def _needs(tree: TPOSteps) -> Needs:
    return Needs(frozenset(), steps=frozenset({tree.steps}))


class TPOSteps(Listed):
    """Ranks all answers of a tree by their steps, of which one counts more the more it is like the best answer's.

    Liao et al. 2024, arXiv 2410.12854, as the released code scores an answer: D_ik is the mean log-ratio of a token of
    step k of answer i, and its weight a_ik is 1 plus the cosine between the policy's mean last hidden state where that
    step's tokens are predicted and that of the same step of the best answer, without gradient; 1 where the best answer
    has no such step.  The released loss, log sigmoid of beta times the ranking loss, falls as the ranking gets worse,
    and counts ties and both orders of a pair: here it is the mean over the ordered pairs, which is why this is a
    reconstruction.  Where policy equals reference the loss is log 2 and the reward 0.
    """

    name: ClassVar[str] = "tpo_code"
    title: ClassVar[str] = "TPO by steps"
    formula: ClassVar[str] = (
        r"-\frac{1}{|\{\psi_i>\psi_j\}|}\sum_{\psi_i>\psi_j}\log\sigma(s_i-s_j),\quad "
        r"s_i=\beta\,\frac{\sum_k a_{ik}D_{ik}}{\sum_k a_{ik}},\quad a_{ik}=1+\cos(\bar h_{ik},\bar h_{1k}),\quad "
        r"D_{ik}=\frac{1}{|y_{ik}|}\log\frac{\pi(y_{ik})}{\pi_{\mathrm{ref}}(y_{ik})}"
    )
    paper: ClassVar[Paper] = Paper(
        "TPO: Aligning Large Language Models with Multi-branch & Multi-step Preference Trees",
        "Liao et al.",
        2024,
        "2410.12854",
        "",
    )
    fidelity: ClassVar[Fidelity] = "reconstruction"
    needs: ClassVar[Needs] = varying(
        Needs(LIST, reference="tokens", facts=frozenset({"rank"}), tokens=frozenset({TokenValue.LOGPS})), _needs
    )
    fixes: ClassVar[str] = (
        "Answers of a tree differ in some of their steps, and a long step need not count more than a short one."
    )
    costs: ClassVar[str] = (
        "Scores are on a scale per token, so that beta has to be larger than DPO's. A step is compared with the one at "
        "the same place, whatever either says, and the reference is asked at every step of the training."
    )
    ranges: ClassVar[Mapping[str, Range]] = {}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("tpo_tree_lambda", "The paper's ranking of whole answers, without steps."),
        Relative("pairwise_logistic_all", "Answers of one step give its mean over averages of log-ratios."),
    )

    steps: Cut = Field(
        "lines",
        title="Steps",
        description="What ends a step of an answer: the end of a line (lines), or an empty line (paragraphs).",
    )

    @classmethod
    def usual_needs(cls) -> Needs:
        """What an instance with steps of lines needs."""
        return cls().needs

    def loss(self, batch: Batch, state: State) -> Tensor:  # noqa: ARG002
        """The mean of -log sigmoid(s_i - s_j) over i ranked above j, (examples,)."""
        lists = replace(batch, logps=self.rewards(batch)).lists()
        total, pairs = ordered(lists, lists.logps)
        return total / pairs.clamp(min=1)

    def rewards(self, batch: Batch) -> Tensor:
        """beta * the weighted mean over the steps of their mean log-ratios, (S,)."""
        tokens = batch.each_token()
        place = tokens.values[step(self.steps, StepValue.PLACE)].long()
        width, count = int(place.max()) + 1, len(batch.logps)
        segment = tokens.sequence * width + place

        def mean(values: Tensor) -> Tensor:
            return values.new_zeros(count * width).index_add(0, segment, values) / sizes.clamp(min=1)

        sizes = segment.bincount(minlength=count * width)
        alike = mean(tokens.values[step(self.steps, StepValue.LIKENESS)]).detach()
        weights = (1 + alike).clamp(min=0) * (sizes > 0)
        shares = weights.view(count, width)
        shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=1e-12)
        return self.beta * (shares * mean(tokens.ratios).view(count, width)).sum(dim=1)
