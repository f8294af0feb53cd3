"""Whether the checkpoints of a run read text alike, told from their files before anything is queued."""

from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.orm import Session

from alignment.objectives import REFERENCE, OtherValue, rewards
from alignment.tokenizing import TOKENIZING
from alignment.training import folder as folders
from alignment.training.errors import CheckpointRefused
from backend.checkpoints import places
from backend.checkpoints.models import Checkpoint
from backend.errors import Invalid
from backend.runs.schemas import RunIn


class UnlikeCheckpoints(Invalid):
    title = "These checkpoints cannot be compared"


def refuse_unlike(session: Session, base: Checkpoint, others: Mapping[str, Checkpoint], body: RunIn) -> None:
    """Raise UnlikeCheckpoints where the reference or a third checkpoint has other tokens than the one that is trained,
    and the objective compares what they say.

    Training loads the tokenizers and looks again: where a file tells nothing, nothing is refused here.
    """
    needs = body.objective.needs
    _refuse_unlike_rewards(session, others)
    told = {*rewards.rewards(others), *rewards.references(others)}  # these read texts each for itself
    compared = {
        name: found
        for name, found in others.items()
        if (name != REFERENCE or needs.reference != "none") and name not in told
    }
    if not compared:
        return
    own = places.outline(session, base)
    for name, checkpoint in compared.items():
        field = "reference_id" if name == REFERENCE else "third_ids"
        whole = needs.of_third - {OtherValue.LOGPS} if name != REFERENCE else needs.reference == "distribution"
        _refuse(name, own, places.outline(session, checkpoint), field, sizes=bool(whole))


def refuse_unlike_reference(session: Session, checkpoint: Checkpoint, reference: Checkpoint, field: str) -> None:
    """Raise UnlikeCheckpoints where a checkpoint has other tokens than what its rewards are measured against."""
    own, other = (places.outline(session, one) for one in (checkpoint, reference))
    _refuse("reference", own, other, field, sizes=False)


def _refuse_unlike_rewards(session: Session, others: Mapping[str, Checkpoint]) -> None:
    for name in rewards.rewards(others):
        before = others.get(rewards.reference_of(name))
        if before is not None:
            own, other = (places.outline(session, found) for found in (others[name], before))
            _refuse(rewards.reference_of(name), own, other, "third_ids", sizes=False, than=f"the {name}")


def _refuse(name: str, own: Path, other: Path, field: str, *, sizes: bool, than: str = "the checkpoint") -> None:
    ours, theirs = (TOKENIZING.vocabulary(folder) for folder in (own, other))
    why = None
    if ours and theirs and ours != theirs:
        why = f"The {name} has another tokenizer than {than}, so their log-probabilities cannot be compared."
    elif sizes and (why := _other_sizes(name, own, other)) is None:
        return
    if why is not None:
        raise UnlikeCheckpoints(why, field=field, remedy=f"Choose a {name} of the same family.")


def _other_sizes(name: str, own: Path, other: Path) -> str | None:
    try:
        ours, theirs = (folders.inspect(folder, template=False).vocabulary for folder in (own, other))
    except CheckpointRefused:
        return None  # it is refused for itself
    if ours == theirs:
        return None
    return (
        f"The {name} predicts {theirs:,} tokens and the checkpoint {ours:,}, so their distributions cannot be compared."
    )
