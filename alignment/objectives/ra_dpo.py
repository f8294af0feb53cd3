"""DPO on pairs whose prompts ask for a score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from alignment.objectives.dpo import DPO
from alignment.objectives.objective import PAIRED_WITH_REFERENCE, Fidelity, Needs, Paper, Range, Relative


class RADPO(DPO):
    """Gives each pair twice: asked for the higher score chosen wins, asked for the lower one the other response does.

    Zhang et al. 2024, arXiv 2410.08067: the loss is DPO's (equation 7 of arXiv 2305.18290) on pairs relabeled by goals.
    A pair whose chosen response scores no higher is left out.  Whoever generates from the checkpoint asks for the
    highest score, in the words that training adds to prompts.  Where policy and reference agree, the loss is log 2.
    """

    name: ClassVar[str] = "ra_dpo"
    title: ClassVar[str] = "Reward-augmented DPO"
    family: ClassVar[str] = "Pairs with scores"
    formula: ClassVar[str] = (
        r"-\tfrac12\log\sigma\!\left(\beta h(y_w,y_l\mid x,s_w)\right)"
        r"-\tfrac12\log\sigma\!\left(\beta h(y_l,y_w\mid x,s_l)\right),\quad "
        r"h(y,y'\mid x,s)=\log\frac{\pi(y\mid x,s)}{\pi_{\mathrm{ref}}(y\mid x,s)}"
        r"-\log\frac{\pi(y'\mid x,s)}{\pi_{\mathrm{ref}}(y'\mid x,s)}"
    )
    paper: ClassVar[Paper] = Paper(
        "Reward-Augmented Data Enhances Direct Preference Alignment of LLMs", "Zhang et al.", 2024, "2410.08067", ""
    )
    fidelity: ClassVar[Fidelity] = "authors_code"
    needs: ClassVar[Needs] = PAIRED_WITH_REFERENCE._replace(facts=frozenset({"score"}), goals=True)
    fixes: ClassVar[str] = (
        "DPO unlearns rejected answers that are good and learns from chosen ones that are not; told the score that is "
        "asked for, a model learns from both what they are worth."
    )
    costs: ClassVar[str] = (
        "Each pair counts twice, and every prompt must ask for a score ever after; scores that tell nothing apart "
        "teach nothing."
    )
    ranges: ClassVar[Mapping[str, Range]] = {}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("dpo", "On the pairs as they are given to it, it is DPO.", {}),
        Relative("odpo_log", "ODPO lets the gap of the scores say how far apart two answers have to come."),
    )
    logic: ClassVar[str] = ""
