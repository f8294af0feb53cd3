"""Other models that an objective asks at every step: frozen, loaded once, reading the same tokens as the policy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from alignment.objectives import REFERENCE, OtherValue
from alignment.training import folder as folders
from alignment.training import precision
from alignment.training.errors import CheckpointRefused
from alignment.training.frozen import language_model
from alignment.training.model import load_tokenizer
from alignment.training.rows import arrange
from alignment.training.scorer import Other
from alignment.training.spec import Spec

if TYPE_CHECKING:
    from torch import device
    from transformers import PreTrainedTokenizerBase


def load(spec: Spec, device: device) -> dict[str, Other]:
    """The models that the objective asks at every step, by name, on the device; one folder is loaded once.

    Raises CheckpointRefused.
    """
    loaded: dict[Path, Other] = {}
    found = {}
    for name, folder in spec.others().items():
        if folder not in loaded:
            loaded[folder] = frozen(spec, folder, device, name)
            loaded[folder].scorer.to(device)
        found[name] = loaded[folder]
    return found


def frozen(spec: Spec, folder: Path, device: device, name: str) -> Other:
    """Another checkpoint's model, in which nothing is trained.  Raises CheckpointRefused."""
    with at_its_field(name):
        scorer = language_model(folder, precision.of_weights(spec), spec.precision)
    return Other(scorer, arrange(scorer.model, device, exact=scorer.exact))


def require_same_tokens(spec: Spec, name: str, folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise CheckpointRefused when another checkpoint reads text differently than the one with this tokenizer, or when
    its distributions are over other tokens and the objective compares distributions."""
    require_same_vocabulary(name, folder, tokenizer, "the checkpoint")
    with at_its_field(name):
        needs = spec.objective.needs
        whole = needs.of_third - {OtherValue.LOGPS} if name in needs.third else needs.reference == "distribution"
        ours, theirs = folders.inspect(spec.checkpoint).vocabulary, folders.inspect(folder).vocabulary
        if whole and ours != theirs:
            raise CheckpointRefused(
                f"The {name} predicts {theirs:,} tokens and the checkpoint {ours:,}, so their distributions cannot be"
                " compared.",
                f"Choose a {name} of the same family.",
            )


def require_same_vocabulary(name: str, folder: Path, tokenizer: PreTrainedTokenizerBase, other: str) -> None:
    """Raise CheckpointRefused when a checkpoint has another tokenizer than the other one, whose this is."""
    with at_its_field(name):
        if load_tokenizer(folder).get_vocab() != tokenizer.get_vocab():
            raise CheckpointRefused(
                f"The {name} has another tokenizer than {other}, so their log-probabilities cannot be compared.",
                f"Choose a {name} of the same family.",
            )


@contextmanager
def at_its_field(name: str) -> Iterator[None]:
    """Let what is refused inside name the field that holds this checkpoint."""
    try:
        yield
    except CheckpointRefused as error:
        error.field = REFERENCE if name == REFERENCE else "third"
        raise
