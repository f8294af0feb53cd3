"""What datasets of each kind are for, in words."""

from typing import Final

from backend.datasets.models import Kind

PURPOSES: Final[dict[Kind, str]] = {
    Kind.paired: "pairs, for preference training.",
    Kind.prompts: "prompts without responses: checkpoints answer them in evaluations. Preference training needs pairs.",
    Kind.demonstrations: "one answer a prompt, for supervised training, which does not run here yet."
    " Preference training needs pairs.",
    Kind.unpaired: "answers with a thumb, for objectives that need no pairs (KTO), which do not run here yet."
    " Preference training needs pairs.",
    Kind.ranked: "several answers in an order. Preference training needs pairs.",
}
"""What follows “It holds …”."""


def instead(kind: Kind) -> str:
    """What to do with data of a kind that preference training cannot take."""
    if kind is Kind.ranked:
        return "Make pairs of it: its page offers the rules."
    if kind in (Kind.unpaired, Kind.demonstrations):
        return "Choose a dataset of pairs, or export this one for a tool that trains on it."
    return "Choose a dataset of pairs."
