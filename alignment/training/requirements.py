"""What a run must be and have before it begins: refused by name where this loop, or the data, cannot supply it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from alignment.objectives import feeding
from alignment.objectives.batch import Role
from alignment.objectives.composite import innermost
from alignment.objectives.facts import find
from alignment.training import goals
from alignment.training.errors import BadData, BadSpec, CheckpointRefused
from alignment.training.spec import LoraTuning, Spec

if TYPE_CHECKING:
    from alignment.training.encode import Examples
    from alignment.training.head import HeadScorer
    from alignment.training.scorer import Scorer


MOVES: Final = "anchor_decay"
"""The field of an objective whose anchor may follow the policy."""


def require_supported(spec: Spec) -> None:
    """Raise BadSpec when the objective needs something that this loop does not supply."""
    needs = spec.objective.needs
    beyond = [
        *(words for role, words in feeding.UNFED.items() if role in needs.roles),
        *(name for name in sorted(needs.facts) if find(name) is None),
        *(sorted(needs.third) if not needs.of_third else ()),
    ]
    if beyond:
        raise BadSpec(
            f"{spec.objective.title} needs {', '.join(beyond)}, which training does not supply yet.",
            "Choose another objective.",
            "objective.name",
        )
    if spec.parallel == "fsdp":
        _require_shardable(spec)
    goals.require_turnable(spec.objective)
    _require_one_anchor(spec)
    if Role.MISMATCHED in needs.roles and spec.batch.examples_per_step < 2:
        raise BadSpec(
            f"{spec.objective.title} estimates from the whole batch how far the policy has moved.",
            "Take at least 2.",
            "batch.examples_per_step",
        )
    if needs.coupled or needs.state:
        require_no_dropout(spec, "This objective")
    if spec.batch.examples_per_step < needs.least:
        raise BadSpec(
            f"{spec.objective.title} is defined for batches of {needs.least} examples or more.",
            f"Take at least {needs.least}.",
            "batch.examples_per_step",
        )


def may_shard(spec: Spec) -> bool:
    """Whether weights can be shared out among devices; where they cannot, each device holds the whole model."""
    return spec.precision != "pure_bf16" and not spec.objective.needs.anchor


def _require_shardable(spec: Spec) -> None:
    if spec.precision == "pure_bf16":
        raise BadSpec(
            "The masters of pure_bf16 weights are not sharded over devices.",
            "Choose bf16: fsdp shards its fp32 weights.",
            "precision",
        )
    if not may_shard(spec):
        raise BadSpec(
            "The moving average of weights that are sharded over devices cannot be asked as a whole.",
            "Choose ddp, or leave anchor_decay empty.",
            "parallel",
        )


def _require_one_anchor(spec: Spec) -> None:
    """Raise BadSpec where parts of an objective are measured from different anchors: a run has one."""
    compared = [part for part in innermost(spec.objective) if part.needs.reference != "none"]
    if len({part.needs.anchor for part in compared}) > 1:
        titles = " and ".join(sorted({part.title for part in compared}))
        staying = sorted({part.title for part in compared if MOVES not in type(part).model_fields})
        remedy = f"Give all of them the same {MOVES}, or none."
        if staying:
            remedy = f"{' and '.join(staying)} can only be measured from one that stays: leave {MOVES} empty."
        raise BadSpec(f"{titles} would be measured from different anchors.", remedy, "objective")


def require_no_dropout(spec: Spec, what: str) -> None:
    """Raise BadSpec where dropout would make two scores of one batch differ."""
    if isinstance(spec.tuning, LoraTuning) and spec.tuning.dropout > 0:
        raise BadSpec(
            f"{what} scores each batch twice, which dropout would make differ.", "Set it to 0.", "tuning.dropout"
        )


def require_read(spec: Spec, scorer: Scorer | HeadScorer) -> None:
    """Raise CheckpointRefused where hidden states are to be read that an architecture does not show."""
    needs = spec.objective.needs
    if (needs.heads or needs.steps) and not getattr(scorer, "linear", False):
        raise CheckpointRefused(
            f"{spec.objective.title} reads the last hidden states, and logits of this architecture are no projection of"
            " them.",
            "Choose another objective, or a checkpoint of another architecture.",
            "objective",
        )


def require_fit(spec: Spec, examples: Examples) -> None:
    """Raise BadData when the examples, as the chat template writes them, are none that the objective learns from."""
    _require_roles(spec, examples)
    _require_traces(spec, examples)
    _require_turns(spec, examples)


def _require_roles(spec: Spec, examples: Examples) -> None:
    """Raise BadData when the training examples lack a role that the objective learns from."""
    objective = spec.objective
    found = {role for encoded in examples.train for role in encoded.roles}
    refusal = feeding.lacking(objective.title, objective.needs.roles, found) if examples.train else None
    if refusal is not None:
        raise BadData(*refusal, "snapshots")


def _require_traces(spec: Spec, examples: Examples) -> None:
    """Raise BadData when the template writes no traces, and the objective compares answers with theirs and without."""
    left_out = examples.counts["reasonings_left_out"]
    if Role.EMPTY_CHOSEN in spec.objective.needs.roles and left_out:
        raise BadData(
            f"The chat template leaves out the reasoning of {left_out} responses, so that they have no trace.",
            "Give the checkpoint a chat template that writes the reasoning of its last turn.",
            "snapshots",
        )


def _require_turns(spec: Spec, examples: Examples) -> None:
    """Raise BadData when the template hides earlier answers, and every answer is to be learned after them."""
    left_out = examples.counts["turns_left_out"]
    if spec.objective.needs.turns and left_out:
        raise BadData(
            f"The chat template leaves out earlier answers of {left_out} prompts: later ones would be learned as if"
            " those had never been given.",
            "Learn the last answer alone (turns: last), or give the checkpoint a chat template that writes dialogues.",
            "snapshots",
        )
