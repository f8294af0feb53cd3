"""DPO on preference strengths that the model judged by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from alignment.objectives.adpo_pair_soft import ADPOPairSoft
from alignment.objectives.objective import Paper, Range, Relative


class OSPSoftCE(ADPOPairSoft):
    """Cross-entropy with the strength of a preference that the model found by judging its own samples.

    Zhai et al. 2024, arXiv 2405.14103; the form is reconstructed, and is that of ADPO with beta as DPO has it.  Where
    policy and reference agree, the loss is log 2.
    """

    name: ClassVar[str] = "osp_soft_ce"
    title: ClassVar[str] = "OSP"
    paper: ClassVar[Paper] = Paper("Online Self-Preferring Language Models", "Zhai et al.", 2024, "2405.14103", "")
    fixes: ClassVar[str] = (
        "Keeps how strong a preference is, which hard labels throw away, and is less easily misled by weak ones."
    )
    costs: ClassVar[str] = (
        "Strengths have to stand in the data as soft labels; the loop in which a model judges its own samples is not "
        "here."
    )
    ranges: ClassVar[Mapping[str, Range]] = {}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("adpo_pair_soft", "It is the same function, with another default for beta.", {}),
        Relative("dpo", "Where every preference is sure it is DPO."),
    )

    beta: float = Field(
        0.1, gt=0, le=100, title="Beta", description="Strength of the pull towards the reference model."
    )
