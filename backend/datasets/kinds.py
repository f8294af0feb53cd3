"""What datasets of each kind are for, in words."""

from typing import Final

from backend.datasets.models import Kind

PURPOSES: Final[dict[Kind, str]] = {
    Kind.paired: "pairs, for preference training.",
    Kind.prompts: "prompts without responses: checkpoints answer them in evaluations.",
    Kind.demonstrations: "one answer a prompt, for objectives that learn from wanted answers.",
    Kind.unpaired: "answers with a thumb, for objectives that need no pairs (KTO, BCO), and for forgetting (NPO).",
    Kind.ranked: "several answers in an order, for objectives of lists; they convert to pairs, too.",
}
"""What follows “It holds …”."""
