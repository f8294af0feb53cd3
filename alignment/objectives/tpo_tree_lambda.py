"""The loss of preference trees over whole answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from alignment.objectives.lipo_lambda import LiPO
from alignment.objectives.objective import Paper, Range, Relative


class TPO(LiPO):
    """Ranks all answers at the leaves of a preference tree by the lambda loss, each answer taken as a whole.

    Liao et al. 2024, arXiv 2410.12854, without its adaptive step reward, which weighs steps of reasoning by how alike
    they are.  The loss is that of LiPO, and where policy equals reference it is log 2 times the sum of the weights.
    """

    name: ClassVar[str] = "tpo_tree_lambda"
    title: ClassVar[str] = "TPO"
    paper: ClassVar[Paper] = Paper(
        "TPO: Aligning Large Language Models with Multi-branch & Multi-step Preference Trees",
        "Liao et al.",
        2024,
        "2410.12854",
        "",
    )
    fixes: ClassVar[str] = "Learns from every answer of a tree and from how good each is, where pairs use two of them."
    costs: ClassVar[str] = (
        "Steps that answers have in common count as much as those where they part: the paper's adaptive step reward "
        "is not here."
    )
    ranges: ClassVar[Mapping[str, Range]] = {}
    relatives: ClassVar[tuple[Relative, ...]] = (
        Relative("lipo_lambda", "It is the same function; LiPO's lists come from a reward model instead of a tree."),
        Relative("pl_dpo", "Looks at the order of the answers alone."),
    )
