"""Continuing a run: whether what a folder holds is this run, and bringing everything to where it stood."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from alignment.training import folder as folders
from alignment.training import kept, state, structure
from alignment.training.encode import Encoded, Examples
from alignment.training.errors import StateRefused
from alignment.training.same import comparable, differences
from alignment.training.spec import Spec
from alignment.training.state import FOLDER, Origin, Progress, States, Told

if TYPE_CHECKING:
    from torch import Tensor

    from alignment.training.events import Events
    from alignment.training.randomness import Randomness
    from alignment.training.reference import Reference
    from alignment.training.scoring import Scoring
    from alignment.training.step import Learner

LIBRARIES = ("torch", "transformers")


@dataclass(frozen=True)
class Resumed:
    """A state whose weights are in their places again."""

    progress: Progress
    randomness: list[Randomness]
    values: dict[str, Tensor]  # of the objective's state


def find(folder: Path, spec: Spec) -> States:
    """The training states of a run's folder; `told` is the newest one's, None when the run begins.

    Raises StateRefused when it is another run's or damaged, or when the run has checkpoints and kept no state.
    """
    states = States(folder / FOLDER)
    place = states.read()
    if place is None or states.told is None:
        if any((folder / "checkpoints").glob("[0-9]*")):
            raise StateRefused(
                "The run was stopped and kept checkpoints, but no training state to go on from.",
                "Start a new run from its last checkpoint; keep.state says how often a state is kept.",
                "state",
            )
        return states
    differing = differences(states.told.origin.spec, comparable(spec))
    if differing:
        raise StateRefused(
            f"The spec is not the one that the run began with: {'; '.join(differing)}.",
            "Put it back to continue this run, or start a new run.",
            differing[0].partition(" ")[0],
        )
    return states


def origin(spec: Spec, scoring: Scoring, examples: Examples) -> Origin:
    """What run this is."""
    return Origin(
        spec=comparable(spec),
        data=_data(examples),
        weights=_weights([spec.checkpoint, *(folder for _, folder in sorted(spec.others().items()))]),
        tokens_per_pack=scoring.tokens,
        path="shared" if scoring.structure.shared else "plain",
        attention=scoring.structure.way if scoring.structure.shared else None,
        lanes=scoring.lanes,
        versions={name: version(name) for name in LIBRARIES},
    )


def _data(examples: Examples) -> str:
    digest = hashlib.sha256(f"{len(examples.train)} {len(examples.validation)}".encode())
    for example in (*examples.train, *examples.validation):
        digest.update(kept.key(example) + bytes(example.roles))
        if values := example.example.values:
            digest.update(repr(sorted(values.items())).encode())
    return digest.hexdigest()


def _weights(checkpoints: Sequence[Path]) -> str:
    """A hash of all files of weights; those of large ones are remembered where the reference's values are kept."""
    digest, folder = hashlib.sha256(), kept.place()
    for link in (link for checkpoint in checkpoints for link in folders.base_chain(checkpoint)):
        for path in sorted(link.glob(kept.SHARDS)):
            digest.update(f"{path.name} {kept.digest(path, folder)} ".encode())
    return digest.hexdigest()


def settle(spec: Spec, scoring: Scoring, begun: Origin | None) -> Scoring:
    """The scoring with the packs and the rows that the run began with, so that its sums are rounded alike."""
    if begun is None:
        return scoring
    if spec.batch.tokens_per_pack == "auto":
        scoring = replace(scoring, tokens=begun.tokens_per_pack)
    if begun.path == "plain" and scoring.structure.shared:
        scoring = replace(scoring, structure=structure.plain("the run began so", steady=scoring.structure.steady))
    if begun.attention == "masks" and scoring.structure.way == "blocks":
        scoring = replace(scoring, structure=replace(scoring.structure, way="masks", why="the run began under masks"))
    return scoring


def bring_back(
    states: States, told: Told, now: Origin, learner: Learner, examples: Examples, events: Events
) -> tuple[Resumed, Reference | None]:
    """Afterwards model and optimizer are as they were at the newest state.  Raises StateRefused."""
    from alignment.training.randomness import Randomness

    then = told.origin
    for what, field, alike in (
        ("data", "snapshots", then.data == now.data),
        ("starting weights", "checkpoint", then.weights == now.weights),
    ):
        if not alike:
            raise StateRefused(
                f"The {what} are not those that the run began with.",
                "Put them back to continue this run, or start a new run.",
                field,
            )
    changed = [f"{name} {found}" for name, found in then.versions.items() if found != now.versions.get(name)]
    if changed:
        events.log(f"the run began with {', '.join(changed)}: it goes on, but not to the last bit alike", "warning")
    place = states.folder / str(told.progress.step)
    learner.scoring.ranks.reshard(learner.scoring.scorer)
    rest = state.fill(place, told, state.Held.of(learner, {}))
    begun = learner.scoring.objective.start()
    if {name: value.dim() for name, value in rest.values.items()} != {name: one.dim() for name, one in begun.items()}:
        raise state.misfit()
    step = told.progress.step
    schedule = learner.schedule.state_dict()
    learner.schedule.load_state_dict({**schedule, "last_epoch": step, "_step_count": step + 1, "_last_lr": told.rates})
    ranks = [
        Randomness.of(
            plain, [found for (rank, _), found in sorted(rest.random.items(), key=lambda one: one[0]) if rank == place]
        )
        for place, plain in enumerate(told.generators)
    ]
    return Resumed(told.progress, ranks, rest.values), _reference(rest.reference, examples)


def _reference(held: dict[str, Tensor], examples: Examples) -> Reference | None:
    """What the reference thought.  Raises StateRefused when that is not about these examples."""
    import torch

    from alignment.training.reference import Reference

    if not held:
        return None
    try:
        indices, train, validation = (held[name] for name in ("indices", "train", "validation"))
        places = indices.tolist()
        some = [examples.train[place] for place in places]
        if min(places, default=0) < 0 or not bool(torch.cat([train, validation]).isfinite().all()):
            raise state.misfit()
        found: list[Tensor | None] = [None] * len(examples.train)
        for place, part in zip(places, _parts(train, some), strict=True):
            found[place] = part
        return Reference(found, _parts(validation, examples.validation))
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        raise state.misfit() from error


def _parts(flat: Tensor, examples: Sequence[Encoded]) -> list[Tensor]:
    import torch

    return list(torch.split(flat, [len(example.responses) for example in examples]))


def told_reference(reference: Reference | None) -> dict[str, Tensor]:
    """The reference's log-probabilities as tensors with names."""
    import torch

    if reference is None:
        return {}
    some = [(place, part) for place, part in enumerate(reference.train) if part is not None]
    empty = torch.zeros(0)
    return {
        "indices": torch.tensor([place for place, _ in some], dtype=torch.int64),
        "train": torch.cat([empty, *(part for _, part in some)]),
        "validation": torch.cat([empty, *reference.validation]),
    }
